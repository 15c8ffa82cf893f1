#include "merges.h"

#include <bit>

namespace qloft::tokenizer {

void MergeTable::reserve(std::size_t merges) {
  if (2 * merges > slots_.size()) rehash(std::bit_ceil(2 * merges));
}

void MergeTable::rehash(std::size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
  size_ = 0;
  for (const Slot& slot : old) {
    if (slot.key == kFree) continue;
    add(static_cast<TokenId>(slot.key >> 32), static_cast<TokenId>(slot.key & UINT32_MAX),
        slot.merge);
  }
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  if (2 * (size_ + 1) > slots_.size()) rehash(2 * slots_.size());
  const std::uint64_t key = key_of(left, right);
  std::size_t slot = first_slot(key);
  while (slots_[slot].key != kFree && slots_[slot].key != key) slot = (slot + 1) & mask_;
  if (slots_[slot].key == kFree) ++size_;
  slots_[slot] = {key, merge};
}

}  // namespace qloft::tokenizer
