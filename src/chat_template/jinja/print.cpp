#include "jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, char32_t code, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[(code >> shift) & 15];
}

// Appends the characters of `text`: runs of bytes that are `plain` as they are, each other one by
// `other`. Long texts are mostly such runs.
template <typename Plain, typename Other>
void append_characters(std::string& out, std::string_view text, Plain plain, Other other) {
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(
        text, [&](char c) { return plain(static_cast<unsigned char>(c)); });
    const auto run = static_cast<std::size_t>(end - text.begin());
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) return;
    const Character next = first_character(text);
    other(text.substr(0, next.bytes), next.code);
    text.remove_prefix(next.bytes);
  }
}

std::string quote(std::string_view text) {
  const bool doubles =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char mark = doubles ? '"' : '\'';
  std::string out(1, mark);
  const auto plain = [mark](unsigned char byte) {
    return byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != static_cast<unsigned char>(mark);
  };
  append_characters(out, text, plain, [&](std::string_view c, char32_t code) {
    if (c == "\\" || c[0] == mark) {
      out += '\\';
      out += c;
    } else if (c == "\n") {
      out += "\\n";
    } else if (c == "\r") {
      out += "\\r";
    } else if (c == "\t") {
      out += "\\t";
    } else if (is_printable(code)) {
      out += c;
    } else if (code < 0x100) {
      out += "\\x";
      append_hex(out, code, 2);
    } else {
      out += code < 0x10000 ? "\\u" : "\\U";
      append_hex(out, code, code < 0x10000 ? 4 : 8);
    }
  });
  out += mark;
  return out;
}

void append_repr(std::string& out, const Value& value, Budget& budget);

template <typename Items, typename Append>
void append_joined(std::string& out, const Items& items, const char* open, const char* close,
                   Append append) {
  out += open;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ", ";
    first = false;
    append(item);
  }
  out += close;
}

void append_sequence(std::string& out, const Sequence& sequence, Budget& budget) {
  const Values& items = sequence.data->items;
  const auto append = [&](const Value& item) { append_repr(out, item, budget); };
  switch (sequence.kind) {
    case SequenceKind::list:
      return append_joined(out, items, "[", "]", append);
    case SequenceKind::tuple:
      return append_joined(out, items, "(", items.size() == 1 ? ",)" : ")", append);
    case SequenceKind::view:
      return append_joined(out, items, "dict_items([", "])", append);
    case SequenceKind::range: {
      const std::int64_t step =
          items.size() > 1 ? items[1].integer() - items[0].integer() : std::int64_t{1};
      const std::int64_t begin = items.empty() ? 0 : items.front().integer();
      const std::int64_t end = items.empty() ? 0 : items.back().integer() + (step > 0 ? 1 : -1);
      out += "range(" + std::to_string(begin) + ", " + std::to_string(end);
      out += step == 1 ? ")" : ", " + std::to_string(step) + ")";
      return;
    }
    case SequenceKind::generator:
      out += "<generator object>";
  }
}

void append_dict(std::string& out, const Dict& dict, Budget& budget) {
  append_joined(out, dict.items, "{", "}", [&](const std::pair<Value, Value>& item) {
    append_repr(out, item.first, budget);
    out += ": ";
    append_repr(out, item.second, budget);
  });
}

void append_repr(std::string& out, const Value& value, Budget& budget) {
  const std::size_t before = out.size();
  if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const bool* flag = std::get_if<bool>(&value.variant())) {
    out += *flag ? "True" : "False";
  } else if (value.is_integral()) {
    out += std::to_string(value.integer());
  } else if (value.is_number()) {
    out += float_repr(value.number());
  } else if (value.is_string()) {
    const std::string quoted = quote(value.string());
    out += value.is_markup() ? "Markup(" + quoted + ")" : quoted;
  } else if (const Sequence* sequence = value.sequence()) {
    append_sequence(out, *sequence, budget);
  } else if (const Dict* dict = value.dict()) {
    append_dict(out, *dict, budget);
  } else if (const auto* callable = value.callable()) {
    out += "<function " + (*callable)->name + ">";
  } else {
    out += "<" + type_name(value) + ">";
  }
  budget.spend(8 + out.size() - before);
}

void append_json_text(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  const auto plain = [ascii](unsigned char byte) {
    return byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x7f || !ascii);
  };
  append_characters(out, text, plain, [&](std::string_view c, char32_t code) {
    const auto byte = static_cast<unsigned char>(c[0]);
    constexpr std::string_view kShort = "\"\\\n\r\t\b\f";
    constexpr std::string_view kLetters = "\"\\nrtbf";
    const std::size_t row = kShort.find(c[0]);
    if (row != std::string_view::npos) {
      out += '\\';
      out += kLetters[row];
    } else if (byte < 0x20 || (ascii && byte >= 0x7f)) {
      if (code == 0x7f) {
        out += c;
        return;
      }
      if (code >= 0x10000) {
        code -= 0x10000;
        out += "\\u";
        append_hex(out, 0xd800 + (code >> 10), 4);
        code = 0xdc00 + (code & 0x3ff);
      }
      out += "\\u";
      append_hex(out, code, 4);
    } else {
      out += c;
    }
  });
  out += '"';
}

class JsonPrinter {
 public:
  JsonPrinter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  std::string out;

  void append(const Value& value, int level) {
    const std::size_t before = out.size();
    if (value.is_string()) {
      append_json_text(out, value.string(), style_.ascii);
    } else if (value.is_none()) {
      out += "null";
    } else if (value.is_number()) {
      out += number(value);
    } else if (const Sequence* sequence = value.sequence(); is_array(sequence)) {
      append_items(sequence->data->items, '[', ']', level,
                   [&](const Value& item) { append(item, level + 1); });
    } else if (const Dict* dict = value.dict()) {
      append_object(*dict, level);
    } else {
      throw Failure{"Object of type " + type_name(value) + " is not JSON serializable"};
    }
    budget_.spend(8 + out.size() - before);
  }

 private:
  static bool is_array(const Sequence* sequence) {
    return sequence != nullptr &&
           (sequence->kind == SequenceKind::list || sequence->kind == SequenceKind::tuple);
  }

  static std::string number(const Value& value) {
    if (const bool* flag = std::get_if<bool>(&value.variant())) return *flag ? "true" : "false";
    if (value.is_integral()) return std::to_string(value.integer());
    const double real = value.number();
    if (std::isnan(real)) return "NaN";
    if (std::isinf(real)) return real > 0 ? "Infinity" : "-Infinity";
    return float_repr(real);
  }

  std::string key(const Value& value) const {
    if (value.is_string()) return value.string();
    if (value.is_none()) return "null";
    if (value.is_number()) return number(value);
    throw Failure{"keys must be str, int, float, bool or None, not " + type_name(value)};
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out += '\n';
    budget_.spend(style_.indent->size() * static_cast<std::size_t>(level));
    for (int i = 0; i < level; ++i) out += *style_.indent;
  }

  template <typename Items, typename Append>
  void append_items(const Items& items, char open, char close, int level, Append append_one) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += style_.item_separator;
      first = false;
      new_line(level + 1);
      append_one(item);
    }
    if (!first) new_line(level);
    out += close;
  }

  void append_object(const Dict& dict, int level) {
    auto items = dict.items;
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [&](const auto& a, const auto& b) {
        return less(a.first, b.first, budget_);
      });
    }
    append_items(items, '{', '}', level, [&](const std::pair<Value, Value>& item) {
      append_json_text(out, key(item.first), style_.ascii);
      out += style_.key_separator;
      append(item.second, level + 1);
    });
  }

  const JsonStyle& style_;
  Budget& budget_;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = text.front() == '-' ? "-" : "";
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) digits.append(whole + 1 - digits.size(), '0');
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string to_repr(const Value& value, Budget& budget) {
  std::string out;
  append_repr(out, value, budget);
  return out;
}

std::string to_text(const Value& value, Budget& budget) {
  if (value.is_string()) {
    budget.spend(value.string().size());
    return value.string();
  }
  if (const auto* undefined = std::get_if<Undefined>(&value.variant())) {
    // Members that the sandbox hides cannot even be printed.
    if (undefined->why && undefined->why->ends_with(" is unsafe")) throw Failure{*undefined->why};
    return {};
  }
  return to_repr(value, budget);
}

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonPrinter printer(style, budget);
  printer.append(value, 0);
  return std::move(printer.out);
}

}  // namespace qloft::chat_template::jinja
