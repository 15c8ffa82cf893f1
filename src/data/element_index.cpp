#include "element_index.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "qloft/core/error.h"
#include "row.h"

namespace qloft::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kLongestName = 256;
constexpr int kEnd = -1;

bool is_space(int c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// The bytes of a file one after the other.
class Bytes {
 public:
  explicit Bytes(const SourceFile& file) : file_(file) {
    char mark[3];
    if (file.read(0, mark, 3) == 3 && std::string_view(mark, 3) == "\xef\xbb\xbf") begin_ = 3;
  }
  int next() {
    if (at_ == block_.size()) {
      begin_ += at_;
      at_ = 0;
      block_.resize(kBlockBytes);
      block_.resize(file_.read(begin_, block_.data(), kBlockBytes));
      if (block_.empty()) return kEnd;
    }
    return static_cast<unsigned char>(block_[at_++]);
  }
  // The first one that is no space.
  int next_of_value() {
    int c = next();
    while (is_space(c)) c = next();
    return c;
  }
  std::uint64_t offset() const { return begin_ + at_ - 1; }  // of the last byte that was given
  const SourceFile& file() const { return file_; }

 private:
  const SourceFile& file_;
  std::uint64_t begin_ = 0;
  std::string block_;
  std::size_t at_ = 0;
};

// Goes to the end of the string that has begun; its text as it is spelt, if it is short.
std::string skip_string(Bytes& bytes) {
  std::string text;
  for (int c = bytes.next(); c != '"' && c != kEnd; c = bytes.next()) {
    if (text.size() < kLongestName) text += static_cast<char>(c);
    if (c == '\\') bytes.next();
  }
  return text;
}

// Goes to the end of the value that begins with `c`; the byte behind it that is no space.
int skip_value(Bytes& bytes, int c) {
  int depth = 0;
  for (;; c = bytes.next()) {
    if (c == kEnd) return kEnd;
    if (c == '"') {
      skip_string(bytes);
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (depth == 0) return c;
      --depth;
    } else if (c == ',' && depth == 0) {
      return c;
    }
  }
}

struct Array {
  ElementIndex index;
  bool of_objects = false;
  std::string problem;  // of the last element; empty: none
};

// Behind the opening bracket, up to the closing one.
Array scan_array(Bytes& bytes) {
  Array array;
  ElementIndex& index = array.index;
  int c = bytes.next_of_value();
  array.of_objects = c == '{';
  while (c != ']' || index.size() > 0) {
    if (c == ',' || c == '}' || c == ']') array.problem = "expected a value, found none";
    if (c == kEnd) array.problem = "expected a value or ], found the end of the file";
    if (!array.problem.empty()) {
      index.begins.push_back(bytes.offset());
      break;
    }
    index.begins.push_back(bytes.offset());
    c = skip_value(bytes, c);
    index.end = bytes.offset();
    if (c == ']') break;
    if (c == kEnd) array.problem = "expected the array to end, found the end of the file";
    if (c == '}') array.problem = "expected , or ] behind it, found }";
    if (!array.problem.empty()) break;
    c = bytes.next_of_value();
  }
  return array;
}

ElementIndex whole_array(Bytes& bytes) {
  Array array = scan_array(bytes);
  const std::string last = "element " + std::to_string(array.index.size());
  if (!array.problem.empty()) throw InputError({bytes.file().path(), last}, array.problem);
  if (bytes.next_of_value() != kEnd) {
    throw InputError({bytes.file().path(), {}}, "expected the end of the file behind the array");
  }
  return std::move(array.index);
}

// Behind the opening bracket of an object at `begin`.
std::optional<ElementIndex> rows_of_object(Bytes& bytes, std::uint64_t begin) {
  std::vector<std::string> names;
  std::vector<std::pair<std::string, ElementIndex>> arrays;
  int c = bytes.next_of_value();
  while (c == '"') {
    names.push_back(skip_string(bytes));
    if (bytes.next_of_value() != ':') return std::nullopt;
    c = bytes.next_of_value();
    if (c == '[') {
      Array array = scan_array(bytes);
      if (!array.problem.empty()) return std::nullopt;
      if (array.of_objects) arrays.emplace_back(names.back(), std::move(array.index));
      c = bytes.next_of_value();
    } else {
      c = skip_value(bytes, c);
    }
    if (c == ',') c = bytes.next_of_value();
  }
  const std::uint64_t end = bytes.offset() + 1;
  if (c != '}' || bytes.next_of_value() != kEnd) return std::nullopt;
  if (has_a_form(names) || arrays.empty()) {
    const bool on_one_line = bytes.file().line(begin, end).size() == end - begin;
    return on_one_line ? std::nullopt : std::optional(ElementIndex{{begin}, end});
  }
  if (arrays.size() > 1) {
    throw InputError({bytes.file().path(), {}}, "expected one array of rows, found \"" +
                                                    arrays[0].first + "\" and \"" +
                                                    arrays[1].first + "\"");
  }
  return std::move(arrays.front().second);
}

}  // namespace

std::string ElementIndex::element(const SourceFile& file, std::int64_t index) const {
  const auto at = static_cast<std::size_t>(index);
  std::string text = file.text(begins[at], at + 1 < begins.size() ? begins[at + 1] : end);
  const auto trim = [&] { text.erase(text.find_last_not_of(" \t\r\n") + 1); };
  trim();
  if (text.ends_with(',')) text.pop_back();
  trim();
  return text;
}

std::optional<ElementIndex> find_elements(const SourceFile& file) {
  Bytes bytes(file);
  const int c = bytes.next_of_value();
  if (c == '[') return whole_array(bytes);
  if (c == '{') return rows_of_object(bytes, bytes.offset());
  return std::nullopt;
}

}  // namespace qloft::data
