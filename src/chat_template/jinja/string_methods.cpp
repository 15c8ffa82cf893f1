// Methods of strings that change text or ask what it is made of.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/parameters.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

void takes_nothing(const Arguments& arguments) {
  const Parameters given(arguments, "the method", {});
}

template <std::string (*change)(std::string_view)>
Value plain(Interpreter& machine, const Value& object, const Arguments& arguments) {
  takes_nothing(arguments);
  machine.budget().spend(3 * object.string().size());
  return Value(change(object.string()));
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (const std::string_view c : characters(text)) {
    out += is_upper(first_character(c).code) ? lower(c) : upper(c);
  }
  return out;
}

template <Side side>
Value strip_side(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "strip()", {"chars"});
  if (given.value(0, None{}).is_none()) return Value(strip(object.string(), side));
  return Value(strip(object.string(), given.required_text(0), side));
}

// True where there is a character and all pass.
template <bool (*test)(char32_t)>
Value all_are(Interpreter&, const Value& object, const Arguments& arguments) {
  takes_nothing(arguments);
  const auto parts = characters(object.string());
  return !parts.empty() && std::all_of(parts.begin(), parts.end(), [](std::string_view c) {
    return test(first_character(c).code);
  });
}

bool is_alphanumeric(char32_t code) {
  return is_alphabetic(code) || is_digit(code);
}

template <bool (*wanted)(char32_t)>
Value all_cased_are(Interpreter&, const Value& object, const Arguments& arguments) {
  takes_nothing(arguments);
  bool any = false;
  for (const std::string_view c : characters(object.string())) {
    const char32_t code = first_character(c).code;
    if (!is_cased(code)) continue;
    if (!wanted(code)) return false;
    any = true;
  }
  return any;
}

template <char align>
Value justify(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "the method", {"width", "fillchar"});
  given.required(0);
  const std::string fill = given.text(1, " ");
  if (character_count(fill) != 1) throw Failure{"the fill character must be one character"};
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(0, 0), 0));
  const std::size_t length = character_count(object.string());
  const std::size_t missing = width > length ? width - length : 0;
  machine.budget().spend(width);
  // Python's center puts the odd character on the left where the width is odd.
  const std::size_t left = align == '<'   ? 0
                           : align == '>' ? missing
                                          : missing / 2 + (missing & width & 1);
  std::string before, after;
  for (std::size_t i = 0; i < missing; ++i) (i < left ? before : after) += fill;
  return Value(before + object.string() + after);
}

Value zero_fill(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "zfill()", {"width"});
  given.required(0);
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(0, 0), 0));
  machine.budget().spend(width);
  const std::string& text = object.string();
  const std::size_t length = character_count(text);
  if (width <= length) return object;
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  return Value(text.substr(0, sign) + std::string(width - length, '0') + text.substr(sign));
}

Value join(Interpreter& machine, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "join()", {"iterable"});
  require_defined(given.required(0));
  std::string out;
  bool first = true;
  for (const Value& item : iterate(given.required(0), machine.budget())) {
    if (!item.is_string()) throw Failure{"join() needs strings, found " + type_name(item)};
    if (!first) out += object.string();
    first = false;
    machine.budget().spend(object.string().size() + item.string().size());
    out += item.string();
  }
  return Value(std::move(out));
}

Value format(Interpreter& machine, const Value& object, const Arguments& arguments) {
  return Value(brace_format(machine, object.string(), arguments));
}

Value remove_prefix(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "removeprefix()", {"prefix"});
  std::string_view text = object.string();
  const std::string& prefix = given.required_text(0);
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return Value(text);
}

Value remove_suffix(Interpreter&, const Value& object, const Arguments& arguments) {
  const Parameters given(arguments, "removesuffix()", {"suffix"});
  std::string_view text = object.string();
  const std::string& suffix = given.required_text(0);
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return Value(text);
}

constexpr Row<Method> kMethods[] = {
    {"upper", plain<upper>},
    {"lower", plain<lower>},
    {"casefold", plain<lower>},
    {"capitalize", plain<capitalize>},
    {"title", plain<title>},
    {"swapcase", plain<swap_case>},
    {"strip", strip_side<Side::both>},
    {"lstrip", strip_side<Side::left>},
    {"rstrip", strip_side<Side::right>},
    {"isspace", all_are<is_space>},
    {"isalpha", all_are<is_alphabetic>},
    {"isdigit", all_are<is_digit>},
    {"isdecimal", all_are<is_digit>},
    {"isnumeric", all_are<is_digit>},
    {"isalnum", all_are<is_alphanumeric>},
    {"isupper", all_cased_are<is_upper>},
    {"islower", all_cased_are<is_lower>},
    {"ljust", justify<'<'>},
    {"rjust", justify<'>'>},
    {"center", justify<'^'>},
    {"zfill", zero_fill},
    {"join", join},
    {"format", format},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
};

}  // namespace

std::span<const Row<Method>> string_methods() {
  return kMethods;
}

}  // namespace qloft::chat_template::jinja
