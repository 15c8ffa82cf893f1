#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "json_parse.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"

namespace qloft::io {
namespace {

constexpr int kMaximumDepth = 256;
constexpr std::uintmax_t kMostBytes = 1 << 28;  // of a file
constexpr std::int64_t kMostValues = 1 << 24;   // each takes 16 bytes and more
constexpr std::size_t kQuotedBytes = 40;

std::string line_of(std::string_view text, std::size_t position, std::int64_t first_line) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(position, text.size()));
  return "line " + std::to_string(first_line + std::count(text.begin(), end, '\n'));
}

// Printable ASCII of at most kQuotedBytes, for messages about bytes that may be anything.
std::string in_quotes(std::string_view bytes) {
  std::string out = "'";
  for (const char c : bytes.substr(0, kQuotedBytes)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out + (bytes.size() > kQuotedBytes ? "...'" : "'");
}

// The parser's sentence "... while parsing CONTEXT - PROBLEM; last read: 'TEXT'; expected THING" as
// "expected THING, found PROBLEM in 'TEXT'".
std::string explain(std::string_view sentence) {
  const std::size_t dash = sentence.find(" - ");
  if (dash == std::string_view::npos) {
    if (sentence.find("out_of_range") != std::string_view::npos) {
      return "expected a number that fits 64 bits, found a larger one";
    }
    return "expected JSON";
  }
  std::string_view problem = sentence.substr(dash + 3);
  std::string wanted = "JSON";
  if (const auto at = problem.rfind("; expected "); at != std::string_view::npos) {
    wanted = problem.substr(at + 11);
    problem = problem.substr(0, at);
  }
  std::string found(problem);
  if (const auto at = problem.find("; last read: '"); at != std::string_view::npos) {
    std::string_view read = problem.substr(at + 14);
    if (read.ends_with('\'')) read.remove_suffix(1);
    found = std::string(problem.substr(0, at)) + " in " + in_quotes(read);
  }
  if (found.starts_with("unexpected ")) found.erase(0, 11);
  return "expected " + wanted + ", found " + found;
}

// Brackets are counted before the parser runs, so that nothing hostile is ever built; the parser
// would take a NUL byte for the end.
void check_before_parsing(std::string_view text, const std::filesystem::path& file,
                          std::int64_t first_line) {
  int depth = 0;
  std::int64_t values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaximumDepth) {
        throw InputError({file, line_of(text, i, first_line)},
                         "expected at most " + std::to_string(kMaximumDepth) +
                             " levels of brackets, found more");
      }
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',') {
      if (++values > kMostValues) {
        throw InputError({file, line_of(text, i, first_line)},
                         "expected at most " + std::to_string(kMostValues) + " values, found more");
      }
    } else if (c == '\0') {
      throw InputError({file, line_of(text, i, first_line)}, "expected JSON, found a NUL byte");
    }
  }
}

// Builds the value. The library's own builder searches an ordered object at every insertion, which
// is quadratic in the 100,000 keys of a vocabulary; here members are appended and duplicates are
// resolved once, where the object ends.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::filesystem::path& file, std::int64_t first_line,
          DuplicateKeys duplicates)
      : text_(text), file_(file), first_line_(first_line), duplicates_(duplicates) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool end_object() override {
    resolve_duplicates(open_.back()->get_ref<Json::object_t&>());
    open_.pop_back();
    return true;
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    throw InputError({file_, line_of(text_, position, first_line_)}, explain(error.what()));
  }

 private:
  // A container's children move only while it is the innermost open one, so the pointers hold.
  Json* insert(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    auto& object = open_.back()->get_ref<Json::object_t&>();
    object.emplace_back(std::move(key_), std::move(value));
    return &object.back().second;
  }
  bool add(Json value) {
    insert(std::move(value));
    return true;
  }
  bool open(Json value) {
    open_.push_back(insert(std::move(value)));
    return true;
  }

  void resolve_duplicates(Json::object_t& object) const {
    std::unordered_map<std::string_view, std::size_t> first;
    first.reserve(object.size());
    bool found = false;
    for (std::size_t i = 0; i < object.size() && !found; ++i) {
      const auto& key = static_cast<const Json::object_t::Container&>(object)[i].first;
      found = !first.emplace(key, i).second;
      if (found && duplicates_ == DuplicateKeys::refuse) {
        throw InputError({file_, in_quotes(key)}, "expected each name once, found it twice");
      }
    }
    if (!found) return;
    std::unordered_map<std::string, std::size_t> index;
    Json::object_t unique;
    for (auto& [key, value] : object) {
      const auto [at, is_new] = index.emplace(key, unique.size());
      if (is_new) {
        unique.emplace_back(key, std::move(value));
      } else {
        (unique.begin() + static_cast<std::ptrdiff_t>(at->second))->second = std::move(value);
      }
    }
    object = std::move(unique);
  }

  std::string_view text_;
  const std::filesystem::path& file_;
  std::int64_t first_line_;
  DuplicateKeys duplicates_;
  Json root_;
  std::vector<Json*> open_;
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, const std::filesystem::path& file, std::int64_t first_line,
                DuplicateKeys duplicates) {
  check_before_parsing(text, file, first_line);
  Builder builder(text, file, first_line, duplicates);
  Json::sax_parse(text, &builder);
  return builder.take();
}

Json parse_json(std::string_view text, const std::filesystem::path& file, std::int64_t first_line) {
  return parse_json(text, file, first_line, DuplicateKeys::keep_last);
}

Json read_json(const std::filesystem::path& file) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  if (!error && size > kMostBytes) {
    throw InputError({file, {}}, "expected JSON of at most " + std::to_string(kMostBytes) +
                                     " bytes, found " + std::to_string(size));
  }
  return parse_json(read_file(file), file);
}

void write_json(const std::filesystem::path& file, const Json& value) {
  write_file(file, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace qloft::io
