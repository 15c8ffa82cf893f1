// What stands behind `is`.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/operators.h"
#include "jinja/parameters.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace qloft::chat_template::jinja {
namespace {

void takes_nothing(const Arguments& arguments) {
  const Parameters given(arguments, "the test", {});
}

// Tests of the value alone.
template <bool (*test)(const Value&)>
bool plain(Interpreter&, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return test(value);
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_boolean(const Value& value) {
  return std::holds_alternative<bool>(value.variant());
}
bool is_exactly_true(const Value& value) {
  return is_boolean(value) && is_true(value);
}
bool is_exactly_false(const Value& value) {
  return is_boolean(value) && !is_true(value);
}
bool is_integer(const Value& value) {
  return std::holds_alternative<std::int64_t>(value.variant());
}
bool is_real(const Value& value) {
  return std::holds_alternative<double>(value.variant());
}
bool is_any_number(const Value& value) {
  return value.is_number();
}
bool is_text(const Value& value) {
  return value.is_string();
}
bool is_escaped(const Value& value) {
  return value.is_markup();
}
bool is_mapping(const Value& value) {
  return value.dict() != nullptr;
}
bool is_iterable(const Value& value) {
  return value.is_string() || value.sequence() != nullptr || value.dict() != nullptr ||
         value.is_undefined() || value.loop() != nullptr;
}
bool is_sequence(const Value& value) {
  return value.is_string() || value.dict() != nullptr || value.is_sequence(SequenceKind::list) ||
         value.is_sequence(SequenceKind::tuple) || value.is_sequence(SequenceKind::range) ||
         value.is_undefined();
}
bool is_callable(const Value& value) {
  // jinja2's undefined value and its loop have a __call__ of their own.
  return value.callable() != nullptr || value.is_undefined() || value.loop() != nullptr;
}

// True where there is a cased character and none of the other case.
bool all_cased(const std::string& text, bool (*wanted)(char32_t)) {
  bool any = false;
  for (const std::string_view c : characters(text)) {
    const char32_t code = first_character(c).code;
    if (!is_cased(code)) continue;
    if (!wanted(code)) return false;
    any = true;
  }
  return any;
}

bool is_lower_text(Interpreter& machine, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return all_cased(to_text(value, machine.budget()), is_lower);
}

bool is_upper_text(Interpreter& machine, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return all_cased(to_text(value, machine.budget()), is_upper);
}

bool has_rest(Interpreter& machine, const Value& value, std::int64_t divisor, int rest) {
  return equal(arithmetic(Operation::modulo, value, Value(divisor), machine.budget()), Value(rest),
               machine.budget());
}

bool is_odd(Interpreter& machine, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return has_rest(machine, value, 2, 1);
}

bool is_even(Interpreter& machine, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return has_rest(machine, value, 2, 0);
}

bool is_divisible(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "divisibleby", {"num"});
  given.required(0);
  return has_rest(machine, value, given.integer(0, 1), 0);
}

template <Operation operation>
bool compares(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "the test", {"other"});
  return compare(operation, value, given.required(0), machine.budget());
}

bool is_same(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "sameas", {"other"});
  const Value& other = given.required(0);
  return value.variant().index() == other.variant().index() &&
         equal(value, other, machine.budget());
}

bool is_filter(Interpreter&, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return value.is_string() && find_filter(value.string()) != nullptr;
}

bool is_test(Interpreter&, const Value& value, const Arguments& arguments) {
  takes_nothing(arguments);
  return value.is_string() && find_test(value.string()) != nullptr;
}

constexpr Row<Test> kTests[] = {
    {"defined", plain<is_defined>},
    {"undefined", plain<is_undefined>},
    {"none", plain<is_none>},
    {"boolean", plain<is_boolean>},
    {"true", plain<is_exactly_true>},
    {"false", plain<is_exactly_false>},
    {"integer", plain<is_integer>},
    {"float", plain<is_real>},
    {"number", plain<is_any_number>},
    {"string", plain<is_text>},
    {"escaped", plain<is_escaped>},
    {"mapping", plain<is_mapping>},
    {"iterable", plain<is_iterable>},
    {"sequence", plain<is_sequence>},
    {"callable", plain<is_callable>},
    {"lower", is_lower_text},
    {"upper", is_upper_text},
    {"odd", is_odd},
    {"even", is_even},
    {"divisibleby", is_divisible},
    {"in", compares<Operation::in>},
    {"==", compares<Operation::equal>},
    {"eq", compares<Operation::equal>},
    {"equalto", compares<Operation::equal>},
    {"!=", compares<Operation::not_equal>},
    {"ne", compares<Operation::not_equal>},
    {">", compares<Operation::greater>},
    {"gt", compares<Operation::greater>},
    {"greaterthan", compares<Operation::greater>},
    {">=", compares<Operation::greater_equal>},
    {"ge", compares<Operation::greater_equal>},
    {"<", compares<Operation::less>},
    {"lt", compares<Operation::less>},
    {"lessthan", compares<Operation::less>},
    {"<=", compares<Operation::less_equal>},
    {"le", compares<Operation::less_equal>},
    {"sameas", is_same},
    {"filter", is_filter},
    {"test", is_test},
};

}  // namespace

std::span<const Row<Test>> tests() {
  return kTests;
}

}  // namespace qloft::chat_template::jinja
