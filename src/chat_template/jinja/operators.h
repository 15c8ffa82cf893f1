#pragma once
// Python's operators.

#include <optional>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace qloft::chat_template::jinja {

// + - * / // % **. Throws Failure where the operands do not fit, or an integer leaves 64 bits.
Value arithmetic(Operation operation, const Value& a, const Value& b, Budget& budget);
Value negate(const Value& value);
// == != < <= > >= in, not in.
bool compare(Operation operation, const Value& a, const Value& b, Budget& budget);
bool contains(const Value& container, const Value& item, Budget& budget);
// value[begin:end:step] of a string, list or tuple.
Value slice(const Value& value, std::optional<std::int64_t> begin, std::optional<std::int64_t> end,
            std::optional<std::int64_t> step, Budget& budget);
// value[index] of a string, list or tuple; nullopt: out of range.
std::optional<Value> at_index(const Value& value, std::int64_t index, Budget& budget);
// range(...), at most 100000 long as in jinja2's sandbox.
Value make_range(const Arguments& arguments, Budget& budget);

}  // namespace qloft::chat_template::jinja
