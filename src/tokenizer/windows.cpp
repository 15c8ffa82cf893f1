#include "windows.h"

#include <algorithm>
#include <string>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

Encoding part_of(const Encoding& text, std::int64_t begin, std::int64_t end) {
  const auto cut_out = [&](const auto& list) {
    return std::decay_t<decltype(list)>(list.begin() + begin, list.begin() + end);
  };
  return {cut_out(text.ids), cut_out(text.type_ids), cut_out(text.special), cut_out(text.offsets),
          cut_out(text.sequence)};
}

[[noreturn]] void refuse_length(std::int64_t length) {
  throw InputError({{}, "max_length"},
                   "expected more ids than those that are not cut, found room for " +
                       std::to_string(length) + " at most");
}

}  // namespace

void cut(Encoding& text, std::int64_t length, std::int64_t stride, bool left) {
  const std::int64_t size = text.size();
  if (length >= size) return;
  if (length == 0) {
    Encoding whole = std::exchange(text, {});
    whole.overflow.clear();
    text.overflow.push_back(std::move(whole));
    return;
  }
  if (stride >= length) {
    throw InputError({{}, "stride"}, "expected less than the " + std::to_string(length) +
                                         " ids that a window has of the text, found " +
                                         std::to_string(stride));
  }
  std::vector<Encoding> windows;
  for (std::int64_t at = 0;; at += length - stride) {
    const std::int64_t end = std::min(at + length, size);
    windows.push_back(left ? part_of(text, size - end, size - at) : part_of(text, at, end));
    if (end == size) break;
  }
  text = std::move(windows.front());
  text.overflow.assign(std::make_move_iterator(windows.begin() + 1),
                       std::make_move_iterator(windows.end()));
}

void truncate(std::vector<Encoding>& texts, std::int64_t length, const EncodeOptions& options) {
  std::int64_t total = 0;
  for (const Encoding& text : texts) total += text.size();
  if (options.truncation == Truncation::none || (total <= length && length > 0)) return;
  const auto cut_to = [&](Encoding& text, std::int64_t size) {
    cut(text, size, options.stride, options.cut_left);
  };
  if (length == 0) {
    for (Encoding& text : texts) cut_to(text, 0);
    return;
  }
  if (options.truncation == Truncation::longest_first) {
    if (texts.size() == 1) {
      cut_to(texts[0], length);
      return;
    }
    const std::int64_t least = std::min(texts[0].size(), texts[1].size());
    std::int64_t shorter = least;
    std::int64_t longer = least > length ? least : std::max(least, length - least);
    if (shorter + longer > length) {
      shorter = length / 2;
      longer = shorter + length % 2;
    }
    const bool first_is_longer = texts[0].size() > texts[1].size();
    cut_to(texts[0], first_is_longer ? longer : shorter);
    cut_to(texts[1], first_is_longer ? shorter : longer);
    return;
  }
  const std::size_t index = options.truncation == Truncation::only_first ? 0 : 1;
  if (index >= texts.size()) {
    throw InputError({{}, "truncation"},
                     "expected a pair of texts to cut the second of, found one");
  }
  const std::int64_t kept = texts[index].size() - (total - length);
  if (kept <= 0) refuse_length(length);
  cut_to(texts[index], kept);
}

void append(Encoding& text, const Encoding& more) {
  std::vector<Encoding> windows;
  const auto with = [](const Encoding& one, const Encoding& other) {
    Encoding whole = one;
    append(whole, other);
    return whole;
  };
  for (const Encoding& window : text.overflow) {
    windows.push_back(with(window, more));
    for (const Encoding& other : more.overflow) windows.push_back(with(window, other));
  }
  for (const Encoding& other : more.overflow) {
    Encoding first = part_of(text, 0, text.size());
    append(first, other);
    windows.push_back(std::move(first));
  }
  const auto join = [](auto& list, const auto& tail) {
    list.insert(list.end(), tail.begin(), tail.end());
  };
  join(text.ids, more.ids);
  join(text.type_ids, more.type_ids);
  join(text.special, more.special);
  join(text.offsets, more.offsets);
  join(text.sequence, more.sequence);
  text.overflow = std::move(windows);
}

}  // namespace qloft::tokenizer
