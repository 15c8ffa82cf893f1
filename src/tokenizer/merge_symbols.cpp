#include "merge_symbols.h"

#include <algorithm>
#include <array>
#include <functional>

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kScanned = 48;  // where the heap begins to pay

void merge_by_scanning(std::vector<TokenId>& symbols, const MergeTable& merges,
                       std::vector<std::uint32_t>* lengths) {
  std::array<Merge, kScanned> pair;  // of symbols i and i + 1
  std::size_t count = symbols.size();
  for (std::size_t i = 0; i + 1 < count; ++i) pair[i] = merges.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pair[i].rank < pair[best].rank) best = i;
    }
    if (pair[best].rank == Merge::kNone) break;
    symbols[best] = pair[best].result;
    --count;
    if (lengths != nullptr) {
      (*lengths)[best] += (*lengths)[best + 1];
      lengths->erase(lengths->begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    for (std::size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      pair[i - 1] = pair[i];
    }
    if (best > 0) pair[best - 1] = merges.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pair[best] = merges.find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

void merge_with_heap(std::vector<TokenId>& symbols, const MergeTable& merges,
                     std::vector<std::uint32_t>* lengths) {
  constexpr std::uint32_t kEnd = UINT32_MAX;
  struct Links {
    std::uint32_t previous, next;
  };
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Links> links(count);
  std::vector<std::uint64_t> heap;  // rank << 32 | position: the least is merged first
  const auto offer = [&](std::uint32_t left, std::uint32_t right) {
    const Merge merge = merges.find(symbols[left], symbols[right]);
    if (merge.rank == Merge::kNone) return false;
    heap.push_back(static_cast<std::uint64_t>(merge.rank) << 32 | left);
    return true;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    links[i] = {i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
    if (i + 1 < count) offer(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    if (offer(left, right)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const std::uint64_t top = heap.back();
    heap.pop_back();
    const auto left = static_cast<std::uint32_t>(top & UINT32_MAX);
    if (symbols[left] < 0 || links[left].next == kEnd) continue;
    const std::uint32_t right = links[left].next;
    const Merge merge = merges.find(symbols[left], symbols[right]);
    if (merge.rank != top >> 32) continue;  // the pair has changed since
    symbols[left] = merge.result;
    symbols[right] = -1;
    if (lengths != nullptr) (*lengths)[left] += (*lengths)[right];
    links[left].next = links[right].next;
    if (links[left].next != kEnd) {
      links[links[left].next].previous = left;
      push(left, links[left].next);
    }
    if (links[left].previous != kEnd) push(links[left].previous, left);
  }
  if (lengths != nullptr) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i] >= 0) (*lengths)[kept++] = (*lengths)[i];
    }
    lengths->resize(kept);
  }
  std::erase(symbols, -1);
}

}  // namespace

void merge_symbols(std::vector<TokenId>& symbols, const MergeTable& merges,
                   std::vector<std::uint32_t>* lengths) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kScanned) {
    merge_by_scanning(symbols, merges, lengths);
  } else {
    merge_with_heap(symbols, merges, lengths);
  }
}

}  // namespace qloft::tokenizer
