#pragma once
// The merging itself: symbols in, symbols out.

#include <cstdint>
#include <vector>

#include "merges.h"

namespace qloft::tokenizer {

// Replaces the pair of lowest rank (the leftmost of equals) by its merge until there is none, in
// place. Short words by scanning, long ones with a heap in O(n log n). `lengths`, where given, are
// those of the symbols, added up as they merge.
void merge_symbols(std::vector<TokenId>& symbols, const MergeTable& merges,
                   std::vector<std::uint32_t>* lengths = nullptr);

}  // namespace qloft::tokenizer
