#include "train_detail.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "qloft/core/error.h"

namespace qloft::data {
namespace {

using Range = std::pair<std::size_t, std::size_t>;

constexpr const char* kNames[] = {"train_detail", "training_detail"};

// Where each character begins, and the end.
std::vector<std::size_t> character_starts(const std::string& text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
    if (!continues) starts.push_back(i);
  }
  starts.push_back(text.size());
  return starts;
}

std::size_t offset_of(const io::Json& part, const char* name, std::size_t characters,
                      const std::string& field) {
  const auto found = part.find(name);
  const std::int64_t offset =
      found != part.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
  if (offset < 0 || static_cast<std::uint64_t>(offset) >= characters) {
    throw InputError({{}, field + "." + name},
                     "expected a character of the content, 0 to " +
                         std::to_string(static_cast<std::int64_t>(characters) - 1) + ", found " +
                         (found == part.end() ? "none" : found->dump()));
  }
  return static_cast<std::size_t>(offset);
}

bool counts(const io::Json& part, const std::string& field) {
  const auto found = part.find("train");
  if (found != part.end() && found->is_boolean()) return found->get<bool>();
  throw InputError({{}, field + ".train"}, "expected true or false, found " +
                                               (found == part.end() ? "none" : found->dump()));
}

}  // namespace

bool has_train_detail(const io::Json& message) {
  return std::ranges::any_of(kNames, [&](const char* name) { return message.contains(name); });
}

std::vector<Range> parts_left_out(const io::Json& message, const std::string& field) {
  std::vector<Range> out;
  for (const char* name : kNames) {
    const auto parts = message.find(name);
    if (parts == message.end()) continue;
    const std::string list = field + "." + name;
    const auto content = message.find("content");
    if (!parts->is_array() || content == message.end() || !content->is_string()) {
      throw InputError({{}, list}, "expected an array of parts of a content that is a string");
    }
    const std::vector<std::size_t> starts = character_starts(content->get<std::string>());
    for (std::size_t i = 0; i < parts->size(); ++i) {
      const io::Json& part = (*parts)[i];
      const std::string where = list + "[" + std::to_string(i) + "]";
      if (!part.is_object()) throw InputError({{}, where}, "expected an object");
      const std::size_t begin = offset_of(part, "begin_offset", starts.size() - 1, where);
      const std::size_t end = offset_of(part, "end_offset", starts.size() - 1, where);
      if (end < begin) {
        throw InputError({{}, where + ".end_offset"}, "expected " + std::to_string(begin) +
                                                          " or more, found " + std::to_string(end));
      }
      if (!counts(part, where)) out.emplace_back(starts[begin], starts[end + 1]);
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace qloft::data
