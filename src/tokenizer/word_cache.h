#pragma once
// Short words and their ids: one small table a thread, shared by all tokenizers of that thread.

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "qloft/tokenizer.h"
#include "vocabulary.h"

namespace qloft::tokenizer {

class WordCache {
 public:
  static constexpr std::size_t kBytes = 28;  // the longest word
  static constexpr std::size_t kIds = 7;     // the most ids

  struct alignas(64) Entry {  // one cache line
    std::uint32_t owner = 0;  // 0: free
    std::uint8_t bytes = 0;
    std::uint8_t ids = 0;
    std::array<char, kBytes> word{};
    std::array<TokenId, kIds> id{};
  };

  static WordCache& of_this_thread() {
    thread_local WordCache cache;
    return cache;
  }
  // A number for a new tokenizer: 1, 2, ...
  static std::uint32_t new_owner();

  Entry& entry(std::uint64_t hash) { return entries_[hash & (entries_.size() - 1)]; }
  static bool holds(const Entry& entry, std::uint32_t owner, std::string_view word) {
    return entry.owner == owner && entry.bytes == word.size() &&
           std::memcmp(entry.word.data(), word.data(), word.size()) == 0;
  }
  static void fill(Entry& entry, std::uint32_t owner, std::string_view word, const TokenId* ids,
                   std::size_t count) {
    entry.owner = owner;
    entry.bytes = static_cast<std::uint8_t>(word.size());
    entry.ids = static_cast<std::uint8_t>(count);
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::memcpy(entry.id.data(), ids, count * sizeof(TokenId));
  }

 private:
  std::vector<Entry> entries_ = std::vector<Entry>(std::size_t{1} << 14);  // 1 MiB
};
static_assert(sizeof(WordCache::Entry) == 64);

// Appends the ids of a word, by encode() only where the cache of `owner` lacks it.
template <class Encode>
void encode_cached(std::uint32_t owner, std::string_view word, std::vector<TokenId>& ids,
                   Encode&& encode) {
  if (word.size() > WordCache::kBytes) {
    encode();
    return;
  }
  WordCache::Entry& entry = WordCache::of_this_thread().entry(hash_bytes(word));
  if (WordCache::holds(entry, owner, word)) {
    ids.insert(ids.end(), entry.id.begin(), entry.id.begin() + entry.ids);
    return;
  }
  const std::size_t before = ids.size();
  encode();
  const std::size_t count = ids.size() - before;
  if (count <= WordCache::kIds) {
    WordCache::fill(entry, owner, word, ids.data() + before, count);
  }
}

}  // namespace qloft::tokenizer
