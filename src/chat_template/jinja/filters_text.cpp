// Filters that make or change text.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/parameters.h"
#include "jinja/print.h"
#include "jinja/unicode.h"
#include "qloft/core/text.h"

namespace qloft::chat_template::jinja {
namespace {

// Filters without arguments, of the value as text.
template <std::string (*change)(std::string_view)>
Value plain(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "the filter", {});
  const std::string text = to_text(value, machine.budget());
  machine.budget().spend(3 * text.size());
  return Value(change(text), value.is_markup());
}

// jinja2's own rule: words also begin behind dashes and opening brackets.
std::string title_words(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  const auto add_word = [&](std::size_t end) {
    if (end > begin) out += capitalize(text.substr(begin, end - begin));
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const Character c = first_character(text.substr(at));
    const bool breaks =
        is_space(c.code) || std::u32string_view(U"-({[<").find(c.code) != std::u32string_view::npos;
    at += c.bytes;
    if (breaks) add_word(at);
  }
  add_word(text.size());
  return out;
}

Value trim(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "trim", {"chars"});
  const std::string text = to_text(value, machine.budget());
  const Value chars = given.value(0, None{});
  if (chars.is_none()) return Value(strip(text));
  return Value(strip(text, given.required_text(0), Side::both));
}

Value replace(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "replace", {"old", "new", "count"});
  const std::string text = to_text(value, machine.budget());
  const Arguments forwarded{
      {Value(to_text(given.required(0), machine.budget())),
       Value(to_text(given.required(1), machine.budget())), Value(given.integer(2, -1))},
      {}};
  return machine.call(*member(Value(text), "replace"), forwarded);
}

Value as_string(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "string", {});
  if (value.is_string()) return value;
  return Value(to_text(value, machine.budget()));
}

Value mark_safe(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "safe", {});
  return Value(to_text(value, machine.budget()), true);
}

Value force_escape(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "escape", {});
  const std::string text = to_text(value, machine.budget());
  machine.budget().spend(5 * text.size());
  return Value(html_escaped(text), true);
}

Value escape(Interpreter& machine, const Value& value, const Arguments& arguments) {
  return value.is_markup() ? value : force_escape(machine, value, arguments);
}

Value indent(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "indent", {"width", "first", "blank"});
  Budget& budget = machine.budget();
  const Value width = given.value(0, 4);
  std::string margin;
  if (width.is_string()) {
    margin = width.string();
  } else {
    const auto spaces = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(0, 4), 0));
    budget.spend(spaces);
    margin.assign(spaces, ' ');
  }
  require_defined(value);
  if (!value.is_string()) throw Failure{"indent needs a string, not " + type_name(value)};
  const bool blank = given.flag(2, false);
  std::string out = given.flag(1, false) ? margin : "";
  bool first_line = true;
  const Value text(value.string() + "\n");
  const Value lines = machine.call(*member(text, "splitlines"), {});
  for (const Value& line : lines.sequence()->data->items) {
    if (!first_line) {
      out += '\n';
      if (blank || !line.string().empty()) out += margin;
    }
    first_line = false;
    budget.spend(margin.size() + line.string().size());
    out += line.string();
  }
  return Value(std::move(out), value.is_markup());
}

Value word_count(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "wordcount", {});
  std::int64_t count = 0;
  bool inside = false;
  const std::string text = to_text(value, machine.budget());
  for (const std::string_view c : characters(text)) {
    const char32_t code = first_character(c).code;
    const bool word = is_alphabetic(code) || is_digit(code) || code == '_';
    if (word && !inside) ++count;
    inside = word;
  }
  return count;
}

Value format(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const std::string pattern = to_text(value, machine.budget());
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw Failure{"format takes positional or named arguments, not both"};
  }
  if (arguments.named.empty()) {
    return Value(percent_format(pattern, Value::sequence(arguments.positional, SequenceKind::tuple),
                                machine.budget()));
  }
  Dict named;
  for (const auto& [name, one] : arguments.named) named.set(name, one, machine.budget());
  return Value(
      percent_format(pattern, std::make_shared<const Dict>(std::move(named)), machine.budget()));
}

Value center(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "center", {"width"});
  return machine.call(*member(Value(to_text(value, machine.budget())), "center"),
                      {{Value(given.integer(0, 80))}, {}});
}

Value truncate(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "truncate", {"length", "killwords", "end", "leeway"});
  const std::string text = to_text(value, machine.budget());
  const std::string end = given.text(2, "...");
  const auto length = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(0, 255), 0));
  const auto leeway = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(3, 5), 0));
  machine.budget().spend(text.size() * 4);
  const std::vector<std::string_view> parts = characters(text);
  const std::size_t end_length = character_count(end);
  if (length < end_length) throw Failure{"truncate needs a length of at least that of the end"};
  if (parts.size() <= length || parts.size() - length <= leeway) return Value(text);
  std::string kept;
  for (std::size_t i = 0; i < length - end_length; ++i) kept += parts[i];
  const std::size_t space = kept.rfind(' ');
  if (!given.flag(1, false) && space != std::string::npos) kept.resize(space);
  return Value(kept + end);
}

// transformers' tojson, not jinja2's: nothing is escaped for HTML.
Value tojson(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "tojson",
                         {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = given.flag(0, false);
  style.sort_keys = given.flag(3, false);
  const Value indent_value = given.value(1, None{});
  if (indent_value.is_string()) {
    style.indent = indent_value.string();
  } else if (!indent_value.is_none()) {
    const std::int64_t spaces = std::max<std::int64_t>(given.integer(1, 0), 0);
    machine.budget().spend(static_cast<std::size_t>(spaces));
    style.indent = std::string(static_cast<std::size_t>(spaces), ' ');
  }
  if (style.indent) style.item_separator = ",";
  const Value separators = given.value(2, None{});
  if (!separators.is_none()) {
    const auto items = iterate(separators, machine.budget());
    const bool fits = items.size() == 2 && items[0].is_string() && items[1].is_string();
    if (!fits) throw Failure{"tojson takes two strings as separators"};
    style.item_separator = items[0].string();
    style.key_separator = items[1].string();
  }
  return Value(to_json(value, style, machine.budget()));
}

constexpr Row<Filter> kFilters[] = {
    {"upper", plain<upper>},
    {"lower", plain<lower>},
    {"capitalize", plain<capitalize>},
    {"title", plain<title_words>},
    {"trim", trim},
    {"replace", replace},
    {"string", as_string},
    {"safe", mark_safe},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"indent", indent},
    {"wordcount", word_count},
    {"format", format},
    {"center", center},
    {"truncate", truncate},
    {"tojson", tojson},
};

}  // namespace

std::span<const Row<Filter>> text_filters() {
  return kFilters;
}

}  // namespace qloft::chat_template::jinja
