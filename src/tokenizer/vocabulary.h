#pragma once
// Token strings <-> ids of a model (without added tokens).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

std::uint64_t hash_bytes(std::string_view bytes);

// Read only once built. Ids need not be dense, but the memory for id -> token grows with the
// highest.
class Vocabulary {
 public:
  // Ids are in 0 .. limit - 1 for a vocabulary of `entries` tokens; what is above is taken for
  // damage.
  static std::int64_t id_limit(std::size_t entries);

  void reserve(std::size_t entries);
  // A token that is there already gets the new id; an id that is there already keeps its token.
  // id: 0 .. id_limit.
  void add(std::string_view token, TokenId id);

  std::optional<TokenId> find(std::string_view token) const;
  const std::string* token(TokenId id) const;  // nullptr: no such id
  std::size_t size() const { return entries_.size(); }
  std::size_t id_end() const { return by_id_.size(); }  // the highest id + 1

 private:
  struct Entry {
    std::string token;
    TokenId id;
  };
  std::size_t slot_of(std::string_view token) const;
  void grow();

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing: entry index + 1, 0: free
  std::vector<std::uint32_t> by_id_;  // entry index + 1
};

}  // namespace qloft::tokenizer
