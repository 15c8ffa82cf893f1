#pragma once
// Which neighbours merge, in which order of preference, to what.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

struct Merge {
  std::uint32_t rank = kNone;
  TokenId result = -1;

  static constexpr std::uint32_t kNone = UINT32_MAX;
};

// (left, right) -> Merge in one flat table. Read only once built.
class MergeTable {
 public:
  void reserve(std::size_t merges);
  // A pair that is there already gets the new merge, as in Hugging Face's map.
  void add(TokenId left, TokenId right, Merge merge);
  Merge find(TokenId left, TokenId right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t slot = first_slot(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return slots_[slot].merge;
      if (slots_[slot].key == kFree) return {};
    }
  }

 private:
  struct Slot {
    std::uint64_t key = kFree;
    Merge merge;
  };
  static constexpr std::uint64_t kFree = UINT64_MAX;  // ids are not negative

  static std::uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t first_slot(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> shift_) & mask_;
  }
  void rehash(std::size_t slots);

  std::vector<Slot> slots_{2};
  std::size_t mask_ = 1;
  int shift_ = 63;
  std::size_t size_ = 0;
};

}  // namespace qloft::tokenizer
