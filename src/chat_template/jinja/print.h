#pragma once
// Values to text, as Python's str, repr, json.dumps, % and str.format print them.

#include <optional>
#include <string>
#include <string_view>

#include "jinja/value.h"

namespace qloft::chat_template::jinja {

std::string to_text(const Value& value, Budget& budget);  // str()
std::string to_repr(const Value& value, Budget& budget);  // repr()
std::string float_repr(double value);                     // the shortest that reads back

struct JsonStyle {
  bool ascii = false;                 // ensure_ascii
  std::optional<std::string> indent;  // of one level; nullopt: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);

// How a format specification asks for one value: "08.3f", ">10", ...
struct Layout {
  std::string fill = " ";
  char align = 0;  // <, >, ^, =; 0: the type's own
  char sign = '-';
  bool alternate = false;
  bool grouped = false;  // with a comma every three digits
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = 0;
};
// format(value, layout). Throws Failure where the type does not fit the value.
std::string lay_out(const Value& value, const Layout& layout, Budget& budget);
Layout parse_layout(std::string_view specification);

// pattern % values: values is a tuple, a dict (%(name)s), or one value.
std::string percent_format(std::string_view pattern, const Value& values, Budget& budget);
// pattern.format(*positional, **named).
std::string brace_format(Interpreter& machine, std::string_view pattern,
                         const Arguments& arguments);

}  // namespace qloft::chat_template::jinja
