#include "line_index.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace qloft::data {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

}  // namespace

LineIndex::LineIndex(SourceFile file) : file_(std::move(file)) {
  scan();
}

void LineIndex::scan() {
  std::string block(kBlock, '\0');
  std::uint64_t line_start = 0;
  std::int64_t blank_lines = 0;
  bool blank = true;    // nothing but spaces since line_start
  bool counted = true;  // every blank line so far stands in gaps_
  const auto add_line = [&] {
    if (!counted) gaps_.push_back({size(), blank_lines});
    counted = true;
    offsets_.push_back(line_start);
  };
  for (;;) {
    const std::size_t got = file_.read(bytes_, block.data(), block.size());
    if (got == 0) break;
    const std::string_view text(block.data(), got);
    std::size_t at = bytes_ == 0 && text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    if (at != 0) line_start = at;
    while (at < got) {
      const std::size_t end = std::min(text.find('\n', at), got);
      if (blank && !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at),
                                text.begin() + static_cast<std::ptrdiff_t>(end), is_blank)) {
        blank = false;
        add_line();
      }
      if (end == got) break;
      if (blank) {
        ++blank_lines;
        counted = false;
      }
      blank = true;
      at = end + 1;
      line_start = bytes_ + at;
    }
    bytes_ += got;
  }
  offsets_.shrink_to_fit();
}

std::string LineIndex::line(std::int64_t index) const {
  const std::uint64_t begin = offsets_[static_cast<std::size_t>(index)];
  const std::uint64_t end =
      index + 1 < size() ? offsets_[static_cast<std::size_t>(index) + 1] : bytes_;
  std::string line = file_.line(begin, end);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::int64_t LineIndex::line_number(std::int64_t index) const {
  const auto after =
      std::upper_bound(gaps_.begin(), gaps_.end(), index,
                       [](std::int64_t value, const Gap& gap) { return value < gap.index; });
  return index + 1 + (after == gaps_.begin() ? 0 : std::prev(after)->blank_before);
}

}  // namespace qloft::data
