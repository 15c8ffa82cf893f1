// Filters that make or change numbers, and those that stand in for a missing value.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/parameters.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

// Digits with single underscores between them lose these; anything else with one is no number.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() && std::isalnum(text[i - 1]) != 0 &&
                         std::isalnum(text[i + 1]) != 0;
    if (!between) return std::nullopt;
  }
  return out;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  const std::optional<std::string> cleaned = without_underscores(strip(text));
  if (!cleaned || cleaned->empty()) return std::nullopt;
  std::string_view digits = *cleaned;
  const bool negative = digits.front() == '-';
  if (negative || digits.front() == '+') digits.remove_prefix(1);
  const auto has_prefix = [&](char letter) {
    return digits.size() > 2 && digits[0] == '0' && std::tolower(digits[1]) == letter;
  };
  for (const auto& [letter, own] : {std::pair{'x', 16}, {'o', 8}, {'b', 2}}) {
    if (!has_prefix(letter) || (base != own && base != 0)) continue;
    digits.remove_prefix(2);
    base = own;
  }
  if (base == 0) base = 10;
  if (digits.empty() || digits.front() == '-' || base < 2 || base > 36) return std::nullopt;
  std::int64_t value = 0;
  const std::string signed_digits = (negative ? "-" : "") + std::string(digits);
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, value, base);
  if (result.ec == std::errc::result_out_of_range) throw Failure{"an integer is too large"};
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  const std::optional<std::string> cleaned = without_underscores(strip(text));
  if (!cleaned || cleaned->empty()) return std::nullopt;
  std::string_view digits = *cleaned;
  if (digits.front() == '+') digits.remove_prefix(1);
  // from_chars also reads nan(text), which Python does not.
  if (digits.empty() || digits.front() == '+' || digits.find('(') != std::string_view::npos) {
    return std::nullopt;
  }
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    return std::strtod(std::string(digits).c_str(), nullptr);
  }
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> truncated(double value) {
  if (std::isnan(value) || std::isinf(value)) return std::nullopt;
  if (std::fabs(value) >= 9.2e18) throw Failure{"an integer is too large"};
  return static_cast<std::int64_t>(value);
}

Value to_integer(Interpreter&, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "int", {"default", "base"});
  std::optional<std::int64_t> result;
  if (value.is_integral()) {
    result = value.integer();
  } else if (value.is_number()) {
    result = truncated(value.number());
  } else if (value.is_string()) {
    result = parse_integer(value.string(), static_cast<int>(given.integer(1, 10)));
    if (!result) {
      const std::optional<double> real = parse_real(value.string());
      if (real) result = truncated(*real);
    }
  } else {
    require_defined(value);
  }
  return result ? Value(*result) : given.value(0, 0);
}

Value to_real(Interpreter&, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "float", {"default"});
  if (value.is_number()) return value.number();
  if (value.is_string()) {
    if (const std::optional<double> real = parse_real(value.string())) return *real;
  }
  require_defined(value);
  return given.value(0, 0.0);
}

// Python's round: the decimal digits of the exact value, halves to even.
double round_half_even(double value, std::int64_t precision) {
  if (precision >= 0) {
    if (precision > 300 || !std::isfinite(value)) return value;
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
    return std::strtod(buffer, nullptr);
  }
  if (precision < -300) return 0;
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / unit) * unit;
}

Value round(Interpreter&, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "round", {"precision", "method"});
  const std::int64_t precision = given.integer(0, 0);
  const std::string method = given.text(1, "common");
  require_defined(value);
  if (!value.is_number()) throw Failure{"round needs a number, not " + type_name(value)};
  if (method == "common") {
    if (value.is_integral() && precision >= 0) return value.integer();
    const double rounded = round_half_even(value.number(), precision);
    if (value.is_integral()) return static_cast<std::int64_t>(rounded);
    return rounded;
  }
  if (method != "ceil" && method != "floor") {
    throw Failure{"method must be common, ceil or floor"};
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.number() * unit;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit;
}

Value absolute(Interpreter&, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "abs", {});
  require_defined(value);
  if (!value.is_number()) throw Failure{"abs needs a number, not " + type_name(value)};
  if (!value.is_integral()) return std::fabs(value.number());
  return value.integer() < 0 ? negate(value) : Value(value.integer());
}

Value or_default(Interpreter&, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "default", {"default_value", "boolean"});
  const bool missing = value.is_undefined() || (given.flag(1, false) && !is_true(value));
  return missing ? given.value(0, "") : value;
}

Value get_attribute(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "attr", {"name"});
  const std::string& name = given.required_text(0);
  require_defined(value);
  // Only what is an attribute in Python: the items of a dict are not.
  if (value.name_space() != nullptr) return machine.attribute(value, name);
  if (std::optional<Value> found = member(value, name)) return *found;
  return Value::undefined("'" + type_name(value) + " object' has no attribute '" + name + "'");
}

constexpr Row<Filter> kFilters[] = {
    {"int", to_integer}, {"float", to_real},      {"round", round},        {"abs", absolute},
    {"d", or_default},   {"default", or_default}, {"attr", get_attribute},
};

}  // namespace

std::span<const Row<Filter>> number_filters() {
  return kFilters;
}

}  // namespace qloft::chat_template::jinja
