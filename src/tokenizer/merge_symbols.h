#pragma once
// The merging itself: symbols in, symbols out.

#include <vector>

#include "merges.h"

namespace qloft::tokenizer {

// Replaces the pair of lowest rank (the leftmost of equals) by its merge until there is none, in
// place. Short words by scanning, long ones with a heap in O(n log n).
void merge_symbols(std::vector<TokenId>& symbols, const MergeTable& merges);

}  // namespace qloft::tokenizer
