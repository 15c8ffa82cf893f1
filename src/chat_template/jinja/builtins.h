#pragma once
// What templates can use without defining it: filters, tests, functions, methods. A new one is a
// function and a row.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "jinja/interpreter.h"
#include "jinja/value.h"

namespace qloft::chat_template::jinja {

using Function = Value (*)(Interpreter&, const Arguments&);
using Filter = Value (*)(Interpreter&, const Value&, const Arguments&);
using Test = bool (*)(Interpreter&, const Value&, const Arguments&);
using Method = Value (*)(Interpreter&, const Value& object, const Arguments&);

template <typename F>
struct Row {
  std::string_view name;
  F function;
};

std::span<const Row<Filter>> text_filters();
std::span<const Row<Filter>> number_filters();
std::span<const Row<Filter>> sequence_filters();
std::span<const Row<Filter>> selection_filters();
std::span<const Row<Test>> tests();
std::span<const Row<Method>> string_methods();
std::span<const Row<Method>> string_search_methods();

std::span<const std::pair<std::string, Function>> global_functions();
Filter find_filter(std::string_view name);  // nullptr: no such filter
Test find_test(std::string_view name);      // nullptr: no such test

// What Python's getattr(object, name) gives: a method, or what a loop knows. Methods that would
// change their object, and names that begin with _, are an undefined value that says so; nullopt:
// no such member.
std::optional<Value> member(const Value& object, const std::string& name);

// item.a.0.b for the path "a.0.b"; `fallback` stands for what is undefined on the way.
Value follow_path(Interpreter& machine, Value item, const Value& path,
                  const Value* fallback = nullptr);
// Strings in lower case, anything else as it is.
Value ignore_case(const Value& value, Budget& budget);

}  // namespace qloft::chat_template::jinja
