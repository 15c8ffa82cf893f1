#include "split.h"

namespace qloft::tokenizer {

std::vector<Span> merge_spans(const std::vector<Span>& spans, SplitBehavior behavior) {
  std::vector<Span> merged;
  bool previous = false;  // whether the last span that was looked at is a match
  const auto join_or_add = [&](const Span& span, bool join) {
    if (join && !merged.empty()) {
      merged.back().begin = std::min(merged.back().begin, span.begin);
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
    previous = span.match;
  };
  if (behavior == SplitBehavior::merged_with_next) {
    for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
      join_or_add(*span, span->match && !previous);
    }
    std::reverse(merged.begin(), merged.end());
    return merged;
  }
  for (const Span& span : spans) {
    join_or_add(span, behavior == SplitBehavior::contiguous ? span.match == previous
                                                            : span.match && !previous);
  }
  return merged;
}

}  // namespace qloft::tokenizer
