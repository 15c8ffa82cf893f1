// Methods of strings that look for text in text: find, count, replace, split.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/parameters.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

// text[start:end] of Python's (characters, negative from the end), as bytes of the whole.
struct Window {
  std::string_view text;
  std::size_t offset_characters = 0;
  bool valid = true;  // start lies within the text
};

Window window(const std::string& text, const Parameters& given, std::size_t first_index) {
  if (given.find(first_index) == nullptr && given.find(first_index + 1) == nullptr) return {text};
  const auto parts = characters(text);
  const auto size = static_cast<std::int64_t>(parts.size());
  const auto clamp = [&](std::int64_t index) {
    return std::clamp<std::int64_t>(index < 0 ? index + size : index, 0, size);
  };
  const std::int64_t wanted = given.integer(first_index, 0);
  const std::int64_t begin = clamp(wanted);
  const std::int64_t end = std::max(begin, clamp(given.integer(first_index + 1, size)));
  std::size_t from = 0, count = 0;
  for (std::int64_t i = 0; i < end; ++i) {
    (i < begin ? from : count) += parts[static_cast<std::size_t>(i)].size();
  }
  return {std::string_view(text).substr(from, count), static_cast<std::size_t>(begin),
          wanted <= size};
}

template <bool from_right, bool must_exist>
Value find(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "find()", {"sub", "start", "end"});
  const std::string& wanted = given.required_text(0);
  const Window part = window(object.string(), given, 1);
  const std::size_t at = from_right ? part.text.rfind(wanted) : part.text.find(wanted);
  if (at == std::string_view::npos || !part.valid) {
    if (must_exist) throw Failure{"substring not found"};
    return -1;
  }
  return part.offset_characters + character_count(part.text.substr(0, at));
}

Value count(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "count()", {"sub", "start", "end"});
  const std::string& wanted = given.required_text(0);
  const Window part = window(object.string(), given, 1);
  if (!part.valid) return 0;
  if (wanted.empty()) return character_count(part.text) + 1;
  std::int64_t found = 0;
  for (std::size_t at = part.text.find(wanted); at != std::string_view::npos;
       at = part.text.find(wanted, at + wanted.size())) {
    ++found;
  }
  return found;
}

// startswith and endswith take one string or a tuple of them.
template <bool at_end>
Value has_edge(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, at_end ? "endswith()" : "startswith()",
                         {"prefix", "start", "end"});
  const Window part = window(object.string(), given, 1);
  const auto matches = [&](const Value& edge) {
    return part.valid && edge.is_string() &&
           (at_end ? part.text.ends_with(edge.string()) : part.text.starts_with(edge.string()));
  };
  const Value& wanted = given.required(0);
  if (wanted.is_sequence(SequenceKind::tuple)) {
    const Values& edges = wanted.sequence()->data->items;
    return std::any_of(edges.begin(), edges.end(), matches);
  }
  given.required_text(0);
  return matches(wanted);
}

Value replace(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "replace()", {"old", "new", "count"});
  const std::string& text = object.string();
  const std::string& old = given.required_text(0);
  const std::string& fresh = given.required_text(1);
  std::int64_t left = given.integer(2, -1);
  std::string out;
  std::size_t at = 0;
  const auto append = [&](std::string_view part) {
    machine.budget().spend(part.size() + 1);
    out += part;
  };
  if (old.empty()) {
    // Between all characters, at the beginning and at the end.
    for (const std::string_view c : characters(text)) {
      if (left != 0) append(fresh);
      left -= left > 0 ? 1 : 0;
      append(c);
    }
    if (left != 0) append(fresh);
    return Value(std::move(out));
  }
  while (left != 0) {
    const std::size_t found = text.find(old, at);
    if (found == std::string::npos) break;
    append(std::string_view(text).substr(at, found - at));
    append(fresh);
    at = found + old.size();
    left -= left > 0 ? 1 : 0;
  }
  append(std::string_view(text).substr(at));
  return Value(std::move(out));
}

using Parts = std::vector<std::string_view>;

// At runs of space, none of them kept.
Parts split_at_space(std::string_view text, std::int64_t limit, bool from_right) {
  Parts parts;
  const auto space_at = [&](bool front) {
    const Character c = front ? first_character(text) : last_character(text);
    return is_space(c.code) ? c.bytes : 0;
  };
  const Side near = from_right ? Side::right : Side::left;
  for (text = strip(text, near); !text.empty(); text = strip(text, near)) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    std::string_view rest = text;
    while (!text.empty() && space_at(!from_right) == 0) {
      const Character c = from_right ? last_character(text) : first_character(text);
      if (from_right) {
        text.remove_suffix(c.bytes);
      } else {
        text.remove_prefix(c.bytes);
      }
    }
    const std::size_t length = rest.size() - text.size();
    parts.push_back(from_right ? rest.substr(text.size()) : rest.substr(0, length));
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Parts split_at(std::string_view text, std::string_view mark, std::int64_t limit, bool from_right) {
  Parts parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t at = from_right ? text.rfind(mark) : text.find(mark);
    if (at == std::string_view::npos) break;
    parts.push_back(from_right ? text.substr(at + mark.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + mark.size());
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value as_list(Interpreter& machine, const Parts& parts) {
  Values items;
  machine.budget().spend(parts.size() * sizeof(Value));
  for (const std::string_view part : parts) items.emplace_back(part);
  return Value::sequence(std::move(items));
}

template <bool from_right>
Value split(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "split()", {"sep", "maxsplit"});
  const std::int64_t limit = given.integer(1, -1);
  machine.budget().spend(2 * object.string().size());
  if (given.value(0, None{}).is_none()) {
    return as_list(machine, split_at_space(object.string(), limit, from_right));
  }
  const std::string& mark = given.required_text(0);
  if (mark.empty()) throw Failure{"empty separator"};
  return as_list(machine, split_at(object.string(), mark, limit, from_right));
}

template <bool from_right>
Value partition(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "partition()", {"sep"});
  const std::string& mark = given.required_text(0);
  if (mark.empty()) throw Failure{"empty separator"};
  const std::string& text = object.string();
  const std::size_t at = from_right ? text.rfind(mark) : text.find(mark);
  Values parts = {Value(text), Value(""), Value("")};
  if (at != std::string::npos) {
    parts = {Value(text.substr(0, at)), Value(mark), Value(text.substr(at + mark.size()))};
  } else if (from_right) {
    std::swap(parts[0], parts[2]);
  }
  return Value::sequence(std::move(parts), SequenceKind::tuple);
}

bool ends_line(char32_t code) {
  return (code >= 0xa && code <= 0xd) || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

Value split_lines(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "splitlines()", {"keepends"});
  const bool keep = given.flag(0, false);
  const std::string_view text = object.string();
  Parts parts;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = first_character(text.substr(at));
    const std::size_t end = at;
    at += c.bytes;
    if (!ends_line(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    parts.push_back(text.substr(begin, (keep ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) parts.push_back(text.substr(begin));
  return as_list(machine, parts);
}

constexpr Row<Method> kMethods[] = {
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"startswith", has_edge<false>},
    {"endswith", has_edge<true>},
    {"replace", replace},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", split_lines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
};

}  // namespace

std::span<const Row<Method>> string_search_methods() {
  return kMethods;
}

}  // namespace qloft::chat_template::jinja
