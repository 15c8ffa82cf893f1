#include "normalized_text.h"

#include <algorithm>
#include <utility>

namespace qloft::tokenizer {

void apply_changes(NormalizedText& in, std::span<const Change> changes, std::size_t removed) {
  NormalizedText out;
  if (in.text.empty()) return;
  out.text.reserve(in.text.size() + changes.size());
  std::size_t at = 0;  // in the old text
  const auto pass = [&](std::size_t count) {
    for (; count > 0 && at < in.text.size(); --count) at += character_at(in.text, at).size;
  };
  pass(removed);
  bool leading = true;  // all so far stems from the first character
  for (const Change& change : changes) {
    const bool inserted = change.change > 0;
    const bool before_all = inserted && at == 0;
    const std::size_t from = before_all ? 0 : std::min(inserted ? at - 1 : at, in.text.size() - 1);
    const std::size_t before = out.text.size();
    append_character(out.text, change.code);
    const std::size_t bytes = out.text.size() - before;
    if (in.tracked()) {
      out.source.insert(out.source.end(), bytes, before_all ? in.origin() : in.source[from]);
    }
    leading = leading && from < in.first_bytes;
    if (leading) out.first_bytes += bytes;
    if (!inserted) pass(1 + static_cast<std::size_t>(-change.change));
  }
  in = std::move(out);
}

}  // namespace qloft::tokenizer
