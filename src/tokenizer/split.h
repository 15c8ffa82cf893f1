#pragma once
// Matches to pieces, by the five behaviours.

#include <algorithm>
#include <string_view>
#include <vector>

#include "pre_tokenizer.h"

namespace qloft::tokenizer {

struct Span {
  std::size_t begin, end;
  bool match;
};

// The spans that stay, merged as `behavior` says; `spans` cover the text without a gap.
std::vector<Span> merge_spans(const std::vector<Span>& spans, SplitBehavior behavior);

// `for_each(emit)` calls emit(begin, end) for each match; piece(begin, end) gets what stays, empty
// pieces left out.
template <class ForEach, class Emit>
void split(std::string_view text, SplitBehavior behavior, bool invert, ForEach&& for_each,
           Emit&& piece) {
  if (text.empty()) return;
  std::size_t previous = 0;
  if (behavior == SplitBehavior::isolated || behavior == SplitBehavior::removed) {
    const bool keep_matches = behavior == SplitBehavior::isolated || invert;
    const bool keep_gaps = behavior == SplitBehavior::isolated || !invert;
    for_each([&](std::size_t begin, std::size_t end) {
      if (keep_gaps && begin > previous) piece(previous, begin);
      if (keep_matches && end > begin) piece(begin, end);
      previous = end;
    });
    if (keep_gaps && previous < text.size()) piece(previous, text.size());
    return;
  }
  std::vector<Span> spans;
  for_each([&](std::size_t begin, std::size_t end) {
    if (begin != previous) spans.push_back({previous, begin, invert});
    spans.push_back({begin, end, !invert});
    previous = end;
  });
  if (previous != text.size()) spans.push_back({previous, text.size(), invert});
  for (const Span& span : merge_spans(spans, behavior)) {
    if (span.end > span.begin) piece(span.begin, span.end);
  }
}

}  // namespace qloft::tokenizer
