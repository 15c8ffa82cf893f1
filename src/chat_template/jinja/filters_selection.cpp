// Filters that apply a filter or a test to each item.
#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/parameters.h"

namespace qloft::chat_template::jinja {
namespace {

// The arguments behind the first `count`.
Arguments without_first(const Arguments& arguments, std::size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

const std::string& name_at(const Arguments& arguments, std::size_t index) {
  const Value& value = arguments.positional[index];
  if (!value.is_string()) {
    throw Failure{"expected the name of a filter or a test, found " + type_name(value)};
  }
  return value.string();
}

Value map(Interpreter& machine, const Value& value, const Arguments& arguments) {
  Values out;
  if (arguments.positional.empty()) {
    const Parameters given(arguments, "map", {"attribute", "default"});
    if (given.find(0) == nullptr) throw Failure{"map requires a filter argument"};
    const Value* fallback = given.find(1);
    if (fallback != nullptr && fallback->is_none()) fallback = nullptr;
    for (const Value& item : iterate(value, machine.budget())) {
      machine.budget().spend(sizeof(Value));
      out.push_back(follow_path(machine, item, *given.find(0), fallback));
    }
  } else {
    const Arguments rest = without_first(arguments, 1);
    for (const Value& item : iterate(value, machine.budget())) {
      machine.budget().spend(sizeof(Value));
      out.push_back(machine.apply_filter(name_at(arguments, 0), item, rest));
    }
  }
  return Value::sequence(std::move(out), SequenceKind::generator);
}

// by_attribute: the first argument is the path to what is tested. keep: what the test must say.
template <bool by_attribute, bool keep>
Value select(Interpreter& machine, const Value& value, const Arguments& arguments) {
  constexpr std::size_t kPath = by_attribute ? 1 : 0;
  if (arguments.positional.size() < kPath) {
    throw Failure{"Missing parameter for attribute name"};
  }
  const bool tests = arguments.positional.size() > kPath;
  const Arguments rest = tests ? without_first(arguments, kPath + 1) : Arguments{};
  Values out;
  for (const Value& item : iterate(value, machine.budget())) {
    machine.budget().spend(sizeof(Value));
    const Value subject = by_attribute ? follow_path(machine, item, arguments.positional[0]) : item;
    const bool passes =
        tests ? machine.apply_test(name_at(arguments, kPath), subject, rest) : is_true(subject);
    if (passes == keep) out.push_back(item);
  }
  return Value::sequence(std::move(out), SequenceKind::generator);
}

// Pairs of what the items have in common and the items.
Value group_by(Interpreter& machine, const Value& value, const Arguments& arguments) {
  const Parameters given(arguments, "groupby", {"attribute", "default", "case_sensitive"});
  Budget& budget = machine.budget();
  const Value* fallback = given.find(1);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : iterate(value, budget)) {
    budget.spend(4 * sizeof(Value));
    const Value key = follow_path(machine, item, given.required(0), fallback);
    keyed.emplace_back(given.flag(2, false) ? key : ignore_case(key, budget), item);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [&](const auto& a, const auto& b) { return less(a.first, b.first, budget); });
  Values groups;
  for (std::size_t begin = 0; begin < keyed.size();) {
    std::size_t end = begin;
    Values members;
    while (end < keyed.size() && equal(keyed[end].first, keyed[begin].first, budget)) {
      members.push_back(keyed[end++].second);
    }
    const Value name = follow_path(machine, keyed[begin].second, given.required(0), fallback);
    groups.push_back(
        Value::sequence({name, Value::sequence(std::move(members))}, SequenceKind::tuple));
    begin = end;
  }
  return Value::sequence(std::move(groups));
}

constexpr Row<Filter> kFilters[] = {
    {"map", map},
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
    {"groupby", group_by},
};

}  // namespace

std::span<const Row<Filter>> selection_filters() {
  return kFilters;
}

}  // namespace qloft::chat_template::jinja
