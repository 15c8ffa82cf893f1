#include "jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "jinja/print.h"
#include "jinja/unicode.h"
#include "qloft/core/text.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100000;

const char* symbol(Operation operation) {
  constexpr const char* kSymbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<std::size_t>(operation)];
}

[[noreturn]] void fail_types(Operation operation, const Value& a, const Value& b) {
  throw Failure{std::string("unsupported operand types for ") + symbol(operation) + ": '" +
                type_name(a) + "' and '" + type_name(b) + "'"};
}

[[noreturn]] void fail_overflow() {
  throw Failure{"an integer is too large"};
}
[[noreturn]] void fail_zero() {
  throw Failure{"division by zero"};
}

std::int64_t multiply(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
  return result;
}

// Rounded towards minus infinity; b is not 0.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == -1) return multiply(a, -1);
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::int64_t modulo(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

// As CPython computes it: from the remainder, so that both agree.
double floor_divide(double a, double b) {
  const double quotient = (a - modulo(a, b)) / b;
  return quotient == 0 ? std::copysign(0.0, a / b) : std::floor(quotient + 0.5);
}

Value power(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral() && b.integer() >= 0) {
    std::int64_t result = 1;
    std::int64_t base = a.integer();
    for (std::int64_t left = b.integer(); left > 0;) {
      if (left % 2 != 0) result = multiply(result, base);
      left /= 2;
      if (left > 0) base = multiply(base, base);
    }
    return result;
  }
  if (a.number() == 0 && b.number() < 0) fail_zero();
  const double result = std::pow(a.number(), b.number());
  if (std::isnan(result) && !std::isnan(a.number()) && !std::isnan(b.number())) {
    throw Failure{"a power is not a real number"};
  }
  if (std::isinf(result) && std::isfinite(a.number()) && std::isfinite(b.number())) {
    throw Failure{"a number is too large"};
  }
  return result;
}

Value on_integers(Operation operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Operation::add:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      return result;
    case Operation::subtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      return result;
    case Operation::multiply:
      return multiply(a, b);
    case Operation::divide:
      if (b == 0) fail_zero();
      return static_cast<double>(a) / static_cast<double>(b);
    case Operation::floor_divide:
      if (b == 0) fail_zero();
      return floor_divide(a, b);
    default:
      if (b == 0) fail_zero();
      return modulo(a, b);
  }
}

Value on_reals(Operation operation, double a, double b) {
  switch (operation) {
    case Operation::add:
      return a + b;
    case Operation::subtract:
      return a - b;
    case Operation::multiply:
      return a * b;
    case Operation::divide:
      if (b == 0) fail_zero();
      return a / b;
    case Operation::floor_divide:
      if (b == 0) fail_zero();
      return floor_divide(a, b);
    default:
      if (b == 0) fail_zero();
      return modulo(a, b);
  }
}

Value join_sequences(const Sequence& a, const Sequence& b, Budget& budget) {
  Values items = a.data->items;
  items.insert(items.end(), b.data->items.begin(), b.data->items.end());
  budget.spend(items.size() * sizeof(Value));
  return Value::sequence(std::move(items), a.kind);
}

Value join_strings(const Value& a, const Value& b, Budget& budget) {
  const bool markup = a.is_markup() || b.is_markup();
  const auto part = [&](const Value& value) {
    return markup && !value.is_markup() ? html_escaped(value.string()) : value.string();
  };
  budget.spend(a.string().size() + b.string().size());
  return Value(part(a) + part(b), markup);
}

// A string or a list, `count` times.
Value repeat(const Value& value, std::int64_t count, Budget& budget) {
  const auto times = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  const std::size_t size =
      value.is_string() ? value.string().size() : value.sequence()->data->items.size();
  const std::size_t unit = value.is_string() ? 1 : sizeof(Value);
  std::size_t cost = 0;
  if (__builtin_mul_overflow(size * unit, times, &cost)) cost = SIZE_MAX;
  budget.spend(cost);
  if (size == 0) return value;
  if (value.is_string()) {
    std::string text;
    text.reserve(cost);
    for (std::size_t i = 0; i < times; ++i) text += value.string();
    return Value(std::move(text), value.is_markup());
  }
  Values items;
  items.reserve(size * times);
  for (std::size_t i = 0; i < times; ++i) {
    const Values& part = value.sequence()->data->items;
    items.insert(items.end(), part.begin(), part.end());
  }
  return Value::sequence(std::move(items), value.sequence()->kind);
}

bool is_repeatable(const Value& value) {
  return value.is_string() || value.is_sequence(SequenceKind::list) ||
         value.is_sequence(SequenceKind::tuple);
}

}  // namespace

Value arithmetic(Operation operation, const Value& a, const Value& b, Budget& budget) {
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    if (operation == Operation::power) return power(a, b);
    if (a.is_integral() && b.is_integral()) {
      return on_integers(operation, a.integer(), b.integer());
    }
    return on_reals(operation, a.number(), b.number());
  }
  if (operation == Operation::add) {
    if (a.is_string() && b.is_string()) return join_strings(a, b, budget);
    const bool lists = is_repeatable(a) && is_repeatable(b) && !a.is_string() && !b.is_string();
    if (lists && a.sequence()->kind == b.sequence()->kind) {
      return join_sequences(*a.sequence(), *b.sequence(), budget);
    }
  }
  if (operation == Operation::multiply) {
    if (is_repeatable(a) && b.is_integral()) return repeat(a, b.integer(), budget);
    if (is_repeatable(b) && a.is_integral()) return repeat(b, a.integer(), budget);
  }
  if (operation == Operation::modulo && a.is_string()) {
    return Value(percent_format(a.string(), b, budget));
  }
  fail_types(operation, a, b);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is_integral()) return on_integers(Operation::subtract, 0, value.integer());
  if (!value.is_number()) throw Failure{"bad operand type for unary -: '" + type_name(value) + "'"};
  return -value.number();
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (container.is_string()) {
    require_defined(item);
    if (!item.is_string()) {
      throw Failure{"'in <string>' requires a string, not '" + type_name(item) + "'"};
    }
    budget.spend(container.string().size() + item.string().size());
    return container.string().find(item.string()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(item, budget) != nullptr;
  const auto items = iterate(container, budget);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& one) { return equal(one, item, budget); });
}

bool compare(Operation operation, const Value& a, const Value& b, Budget& budget) {
  switch (operation) {
    case Operation::equal:
      return equal(a, b, budget);
    case Operation::not_equal:
      return !equal(a, b, budget);
    case Operation::less:
      return less(a, b, budget);
    case Operation::greater:
      return less(b, a, budget);
    // Not !less(b, a): nothing compares with what is not a number.
    case Operation::less_equal:
      return less(a, b, budget) || equal(a, b, budget);
    case Operation::greater_equal:
      return less(b, a, budget) || equal(a, b, budget);
    case Operation::in:
      return contains(b, a, budget);
    default:
      return !contains(b, a, budget);
  }
}

Value slice(const Value& value, std::optional<std::int64_t> begin, std::optional<std::int64_t> end,
            std::optional<std::int64_t> step, Budget& budget) {
  require_defined(value);
  const Sequence* sequence = value.sequence();
  const bool sliceable = is_repeatable(value) || value.is_sequence(SequenceKind::range);
  if (!sliceable) throw Failure{"'" + type_name(value) + "' cannot be sliced"};
  const std::int64_t stride = step.value_or(1);
  if (stride == 0) throw Failure{"slice step cannot be zero"};

  std::vector<std::string_view> parts;
  if (value.is_string()) {
    budget.spend(value.string().size() * 4);
    parts = characters(value.string());
  }
  const auto size =
      static_cast<std::int64_t>(sequence != nullptr ? sequence->data->items.size() : parts.size());
  const std::int64_t low = stride > 0 ? 0 : -1;
  const std::int64_t high = stride > 0 ? size : size - 1;
  const auto bound = [&](std::optional<std::int64_t> index, std::int64_t fallback) {
    if (!index) return fallback;
    return std::clamp(*index < 0 ? *index + size : *index, low, high);
  };
  std::int64_t at = bound(begin, stride > 0 ? low : high);
  const std::int64_t stop = bound(end, stride > 0 ? high : low);

  std::string text;
  Values items;
  while (stride > 0 ? at < stop : at > stop) {
    const auto index = static_cast<std::size_t>(at);
    if (sequence != nullptr) {
      items.push_back(sequence->data->items[index]);
    } else {
      text += parts[index];
    }
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  if (sequence == nullptr) return Value(std::move(text), value.is_markup());
  budget.spend(items.size() * sizeof(Value));
  return Value::sequence(std::move(items), sequence->kind);
}

std::optional<Value> at_index(const Value& value, std::int64_t index, Budget& budget) {
  if (value.is_string()) {
    budget.spend(value.string().size());
    const auto parts = characters(value.string());
    const auto size = static_cast<std::int64_t>(parts.size());
    if (index < 0) index += size;
    if (index < 0 || index >= size) return std::nullopt;
    return Value(parts[static_cast<std::size_t>(index)]);
  }
  const Values& items = value.sequence()->data->items;
  const auto size = static_cast<std::int64_t>(items.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return items[static_cast<std::size_t>(index)];
}

Value make_range(const Arguments& arguments, Budget& budget) {
  const Values& given = arguments.positional;
  const bool fits = !given.empty() && given.size() <= 3 && arguments.named.empty() &&
                    std::all_of(given.begin(), given.end(),
                                [](const Value& value) { return value.is_integral(); });
  if (!fits) throw Failure{"range() takes one to three integers"};
  const std::int64_t begin = given.size() > 1 ? given[0].integer() : 0;
  const std::int64_t end = given.size() > 1 ? given[1].integer() : given[0].integer();
  const std::int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) throw Failure{"range() step must not be zero"};
  Values items;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (static_cast<std::int64_t>(items.size()) == kLongestRange) {
      throw Failure{"range() is longer than " + std::to_string(kLongestRange)};
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  budget.spend(items.size() * sizeof(Value));
  return Value::sequence(std::move(items), SequenceKind::range);
}

}  // namespace qloft::chat_template::jinja
