// %-formatting and str.format: one layout for both.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "jinja/interpreter.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr std::size_t kWidest = 100000;

std::size_t read_number(std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + static_cast<std::size_t>(text[at] - '0');
    if (value > kWidest) throw Failure{"a format asks for too much"};
  }
  return value;
}

std::string digits_of(std::uint64_t value, unsigned base, bool capitals) {
  const std::string_view digits = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out += digits[value % base];
    value /= base;
  } while (value != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string print_real(double value, char type, std::size_t precision, bool alternate) {
  const std::string pattern = std::string(alternate ? "%#.*" : "%.*") + type;
  std::string out(static_cast<std::size_t>(std::snprintf(nullptr, 0, pattern.c_str(),
                                                         static_cast<int>(precision), value)) +
                      1,
                  '\0');
  std::snprintf(out.data(), out.size(), pattern.c_str(), static_cast<int>(precision), value);
  out.pop_back();
  return out;
}

void group_thousands(std::string& digits) {
  std::size_t whole = 0;
  while (whole < digits.size() && digits[whole] >= '0' && digits[whole] <= '9') ++whole;
  for (std::size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, ",");
}

// Sign and prefix apart from the digits, so that zeros can go between them.
struct Printed {
  std::string sign;
  std::string body;
};

Printed print_number(const Value& value, const Layout& layout) {
  Printed out;
  const char type = layout.type;
  const bool real = type != 0 && std::string_view("eEfFgG%").find(type) != std::string_view::npos;
  bool negative = false;
  if (value.is_integral() && !real) {
    const std::int64_t number = value.integer();
    negative = number < 0;
    const std::uint64_t size =
        negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    out.body = digits_of(size, base, type == 'X');
    if (layout.alternate && base != 10) out.sign = std::string("0") + type;
  } else {
    if (!real && type != 0) {
      throw Failure{std::string("the format '") + type + "' needs an integer"};
    }
    double number = value.number();
    negative = std::signbit(number) && !std::isnan(number);
    number = std::fabs(number);
    if (type == '%') {
      out.body =
          print_real(number * 100, 'f', layout.precision.value_or(6), layout.alternate) + "%";
    } else if (type != 0) {
      out.body = print_real(number, type, layout.precision.value_or(6), layout.alternate);
    } else if (layout.precision) {
      out.body = print_real(number, 'g', std::max<std::size_t>(*layout.precision, 1), false);
    } else {
      out.body = float_repr(number);
    }
  }
  if (layout.grouped) group_thousands(out.body);
  if (negative) {
    out.sign = "-" + out.sign;
  } else if (layout.sign == '+' || layout.sign == ' ') {
    out.sign = layout.sign + out.sign;
  }
  return out;
}

}  // namespace

std::string lay_out(const Value& value, const Layout& layout, Budget& budget) {
  Printed printed;
  char align = layout.align;
  const bool text_type = layout.type == 's' || (layout.type == 0 && !value.is_number());
  const bool plain = layout.type == 0 && std::holds_alternative<bool>(value.variant());
  if (text_type || plain) {
    printed.body = to_text(value, budget);
    if (layout.precision) {
      const std::vector<std::string_view> parts = characters(printed.body);
      std::string cut;
      for (std::size_t i = 0; i < std::min(parts.size(), *layout.precision); ++i) cut += parts[i];
      printed.body = cut;
    }
    if (align == 0) align = '<';
  } else {
    if (!value.is_number()) throw Failure{"a number is required, not " + type_name(value)};
    printed = print_number(value, layout);
    if (align == 0) align = '>';
  }
  const std::size_t length = printed.sign.size() + character_count(printed.body);
  const std::size_t missing = layout.width > length ? layout.width - length : 0;
  budget.spend(length + missing * layout.fill.size());
  const std::size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string before, after;
  for (std::size_t i = 0; i < missing; ++i) (i < left ? before : after) += layout.fill;
  if (align == '=') return printed.sign + before + printed.body;
  return before + printed.sign + printed.body + after;
}

Layout parse_layout(std::string_view text) {
  Layout layout;
  constexpr std::string_view kAligns = "<>^=";
  std::size_t at = 0;
  if (!text.empty()) {
    const std::size_t first = first_character(text).bytes;
    if (text.size() > first && kAligns.find(text[first]) != std::string_view::npos) {
      layout.fill = text.substr(0, first);
      layout.align = text[first];
      at = first + 1;
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      layout.align = text[0];
      at = 1;
    }
  }
  const auto skip = [&](char c) { return at < text.size() && text[at] == c && ++at; };
  if (skip('+')) layout.sign = '+';
  if (skip(' ')) layout.sign = ' ';
  if (skip('-')) layout.sign = '-';
  if (skip('#')) layout.alternate = true;
  if (skip('0') && layout.align == 0) {
    layout.fill = "0";
    layout.align = '=';
  }
  layout.width = read_number(text, at);
  if (skip(',')) layout.grouped = true;
  if (skip('.')) layout.precision = read_number(text, at);
  if (at < text.size()) layout.type = text[at++];
  constexpr std::string_view kTypes = "sdoxXbeEfFgG%";
  if (at != text.size() ||
      (layout.type != 0 && kTypes.find(layout.type) == std::string_view::npos)) {
    throw Failure{"invalid format specifier '" + std::string(text) + "'"};
  }
  if (layout.type == 'd') layout.type = 0;
  return layout;
}

std::string percent_format(std::string_view pattern, const Value& values, Budget& budget) {
  const bool tuple = values.is_sequence(SequenceKind::tuple);
  const std::size_t count = tuple ? values.sequence()->data->items.size() : 1;
  std::size_t next = 0;
  const auto take = [&]() -> const Value& {
    if (next >= count) throw Failure{"not enough arguments for format string"};
    return tuple ? values.sequence()->data->items[next++] : (++next, values);
  };
  bool named = false;
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    if (pattern[at] != '%') {
      out += pattern[at++];
      continue;
    }
    ++at;
    const Value* value = nullptr;
    if (at < pattern.size() && pattern[at] == '(') {
      const std::size_t end = pattern.find(')', at);
      if (end == std::string_view::npos || values.dict() == nullptr) {
        throw Failure{"format requires a mapping"};
      }
      value = values.dict()->find(std::string(pattern.substr(at + 1, end - at - 1)));
      if (value == nullptr) throw Failure{"a format names a missing key"};
      named = true;
      at = end + 1;
    }
    Layout layout;
    for (bool flags = true; flags && at < pattern.size(); at += flags) {
      const char c = pattern[at];
      flags = true;
      if (c == '-') {
        layout.align = '<';
      } else if (c == '0') {
        layout.fill = "0";
      } else if (c == '+' || c == ' ') {
        layout.sign = c;
      } else if (c == '#') {
        layout.alternate = true;
      } else {
        flags = false;
      }
    }
    layout.width = read_number(pattern, at);
    if (at < pattern.size() && pattern[at] == '.') layout.precision = read_number(pattern, ++at);
    if (at >= pattern.size()) throw Failure{"incomplete format"};
    const char type = pattern[at++];
    if (type == '%') {
      out += '%';
      continue;
    }
    if (value == nullptr) value = &take();
    if (type == 's' || type == 'r') {
      layout.type = 's';
      layout.fill = " ";
      if (layout.align == 0) layout.align = '>';
      out += lay_out(type == 's' ? *value : Value(to_repr(*value, budget)), layout, budget);
      continue;
    }
    if (std::string_view("dioxXeEfFgG").find(type) == std::string_view::npos) {
      throw Failure{std::string("unsupported format character '") + type + "'"};
    }
    if (!value->is_number()) throw Failure{"a number is required, not " + type_name(*value)};
    if (layout.align == '<') layout.fill = " ";
    if (layout.fill == "0") layout.align = '=';
    const bool whole = type == 'd' || type == 'i';
    layout.type = whole ? 'd' : type;
    Value number = *value;
    if (whole) {
      if (!number.is_integral()) number = Value(static_cast<std::int64_t>(number.number()));
      if (std::holds_alternative<bool>(number.variant())) number = Value(number.integer());
      layout.type = 0;
    }
    out += lay_out(number, layout, budget);
  }
  if (next < count && !named && values.dict() == nullptr) {
    throw Failure{"not all arguments converted during string formatting"};
  }
  budget.spend(out.size());
  return out;
}

namespace {

// The value that "0.name[key]" stands for.
Value format_field(Interpreter& machine, std::string_view field, std::size_t& automatic,
                   const Arguments& arguments) {
  const std::size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string first(field.substr(0, end));
  const bool position = first.find_first_not_of("0123456789") == std::string_view::npos;
  Value value;
  if (position) {
    std::size_t at = 0;
    const std::size_t index = first.empty() ? automatic++ : read_number(first, at);
    if (index >= arguments.positional.size()) {
      throw Failure{"Replacement index " + std::to_string(index) + " out of range"};
    }
    value = arguments.positional[index];
  } else {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& named) { return named.first == first; });
    if (found == arguments.named.end()) throw Failure{"format() lacks '" + first + "'"};
    value = found->second;
  }
  field.remove_prefix(end);
  while (!field.empty()) {
    const bool item = field.front() == '[';
    const std::size_t stop =
        item ? field.find(']') : std::min(field.find_first_of(".[", 1), field.size());
    if (stop == std::string_view::npos) throw Failure{"Missing ']' in format string"};
    const std::string key(field.substr(1, stop - 1));
    std::size_t at = 0;
    const bool index =
        !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
    value = !item   ? machine.attribute(value, key)
            : index ? machine.item(value, Value(read_number(key, at)))
                    : machine.item(value, Value(key));
    field.remove_prefix(stop + (item ? 1 : 0));
  }
  return value;
}

}  // namespace

std::string brace_format(Interpreter& machine, std::string_view pattern,
                         const Arguments& arguments) {
  std::string out;
  std::size_t automatic = 0;
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    if (c != '{' && c != '}') {
      out += c;
      ++at;
      continue;
    }
    if (at + 1 < pattern.size() && pattern[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    const std::size_t end = pattern.find('}', at);
    if (c == '}' || end == std::string_view::npos)
      throw Failure{"Single '" + std::string(1, c) + "' in format"};
    std::string_view field = pattern.substr(at + 1, end - at - 1);
    std::string_view specification;
    if (const std::size_t colon = field.find(':'); colon != std::string_view::npos) {
      specification = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = 0;
    if (field.size() > 1 && field[field.size() - 2] == '!') {
      conversion = field.back();
      field.remove_suffix(2);
    }
    Value value = format_field(machine, field, automatic, arguments);
    if (conversion == 'r') value = Value(to_repr(value, machine.budget()));
    if (conversion == 's') value = Value(to_text(value, machine.budget()));
    out += lay_out(value, parse_layout(specification), machine.budget());
    at = end + 1;
  }
  machine.budget().spend(out.size());
  return out;
}

}  // namespace qloft::chat_template::jinja
