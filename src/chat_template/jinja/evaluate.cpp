#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/depth.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr std::size_t kNodeCost = 16;

// What `object.name` and object['name'] say where there is nothing.
Value missing_member(const Value& object, const std::string& name) {
  return Value::undefined("'" + type_name(object) + " object' has no attribute '" + name + "'");
}

}  // namespace

Interpreter::Interpreter(const Template& source, Dict&& variables, Budget budget)
    : source_(source), budget_(budget), globals_(std::make_shared<Scope>()) {
  for (const auto& [name, function] : global_functions()) {
    globals_->names.emplace_back(name, Value::function(name, function));
  }
  scope_ = std::make_shared<Scope>();
  scope_->outer = globals_;
  for (auto& [name, value] : variables.items) scope_->set(name.string(), std::move(value));
}

Value Interpreter::evaluate(const Expression& node) {
  const Depth deeper(depth_);
  budget_.spend(kNodeCost);
  line_ = node.line;
  switch (node.kind) {
    case ExpressionKind::constant:
      return node.value;
    case ExpressionKind::name:
      return evaluate_name(node);
    case ExpressionKind::list:
      return Value::sequence(evaluate_all(node.parts));
    case ExpressionKind::tuple:
      return Value::sequence(evaluate_all(node.parts), SequenceKind::tuple);
    case ExpressionKind::dict:
      return evaluate_dict(node);
    case ExpressionKind::negative:
      return negate(evaluate(*node.parts[0]));
    case ExpressionKind::positive:
      return negate(negate(evaluate(*node.parts[0])));
    case ExpressionKind::logical_not:
      return !is_true(evaluate(*node.parts[0]));
    case ExpressionKind::logical_and:
    case ExpressionKind::logical_or: {
      Value left = evaluate(*node.parts[0]);
      const bool decided = is_true(left) == (node.kind == ExpressionKind::logical_or);
      return decided ? left : evaluate(*node.parts[1]);
    }
    case ExpressionKind::arithmetic: {
      const Value left = evaluate(*node.parts[0]);
      return arithmetic(node.operations[0], left, evaluate(*node.parts[1]), budget_);
    }
    case ExpressionKind::compare:
      return evaluate_compare(node);
    case ExpressionKind::concat:
      return evaluate_concat(node);
    case ExpressionKind::conditional:
      return evaluate_conditional(node);
    case ExpressionKind::attribute:
      return attribute(evaluate(*node.parts[0]), node.text);
    case ExpressionKind::item: {
      const Value object = evaluate(*node.parts[0]);
      return item(object, evaluate(*node.parts[1]));
    }
    case ExpressionKind::slice:
      return evaluate_slice(node);
    case ExpressionKind::call:
      return evaluate_call(node);
    case ExpressionKind::filter:
      return evaluate_filter(node);
    case ExpressionKind::test:
      return evaluate_test(node);
  }
  return {};
}

Value Interpreter::evaluate_name(const Expression& node) {
  for (Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
    budget_.spend(scope->names.size());
    if (const Value* found = scope->find(node.text)) return *found;
  }
  return Value::undefined("'" + node.text + "' is undefined");
}

Values Interpreter::evaluate_all(const std::vector<ExpressionPtr>& nodes) {
  Values values;
  values.reserve(nodes.size());
  for (const ExpressionPtr& node : nodes) values.push_back(evaluate(*node));
  budget_.spend(values.size() * sizeof(Value));
  return values;
}

Value Interpreter::evaluate_dict(const Expression& node) {
  Dict dict;
  for (std::size_t i = 0; i + 1 < node.parts.size(); i += 2) {
    const Value key = evaluate(*node.parts[i]);
    dict.set(key, evaluate(*node.parts[i + 1]), budget_);
  }
  return std::make_shared<const Dict>(std::move(dict));
}

Value Interpreter::evaluate_compare(const Expression& node) {
  Value left = evaluate(*node.parts[0]);
  for (std::size_t i = 0; i < node.operations.size(); ++i) {
    Value right = evaluate(*node.parts[i + 1]);
    if (!compare(node.operations[i], left, right, budget_)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_concat(const Expression& node) {
  std::string text;
  for (const ExpressionPtr& part : node.parts) text += to_text(evaluate(*part), budget_);
  return Value(std::move(text));
}

Value Interpreter::evaluate_conditional(const Expression& node) {
  if (is_true(evaluate(*node.parts[0]))) return evaluate(*node.parts[1]);
  if (node.parts[2]) return evaluate(*node.parts[2]);
  return Value::undefined("the inline if-expression evaluated to false and no else was defined");
}

Value Interpreter::evaluate_slice(const Expression& node) {
  const Value object = evaluate(*node.parts[0]);
  std::optional<std::int64_t> bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (!node.parts[i + 1]) continue;
    const Value bound = evaluate(*node.parts[i + 1]);
    if (bound.is_none()) continue;
    if (!bound.is_integral()) throw Failure{"slice bounds must be integers"};
    bounds[i] = bound.integer();
  }
  if (object.is_undefined()) require_defined(object);
  const bool sliceable = object.is_string() || (object.sequence() != nullptr);
  if (!sliceable) return missing_member(object, "slice");
  return slice(object, bounds[0], bounds[1], bounds[2], budget_);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments) {
  Arguments result;
  result.positional = evaluate_all(arguments.positional);
  for (const auto& [name, node] : arguments.named) result.named.emplace_back(name, evaluate(*node));
  if (arguments.star) {
    const auto items = iterate(evaluate(*arguments.star), budget_);
    budget_.spend(items.size() * sizeof(Value));
    result.positional.insert(result.positional.end(), items.begin(), items.end());
  }
  if (arguments.double_star) {
    const Value rest = evaluate(*arguments.double_star);
    if (rest.dict() == nullptr) throw Failure{"expected a dict after **"};
    for (const auto& [key, value] : rest.dict()->items) {
      if (!key.is_string()) throw Failure{"keywords must be strings"};
      budget_.spend(2 * sizeof(Value));
      result.named.emplace_back(key.string(), value);
    }
  }
  return result;
}

Value Interpreter::evaluate_call(const Expression& node) {
  const Value callee = evaluate(*node.parts[0]);
  const Arguments arguments = evaluate_arguments(node.arguments);
  line_ = node.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  require_defined(callee);
  if (const Loop* loop = callee.loop()) return recurse(*loop, arguments);
  const auto* callable = callee.callable();
  if (callable == nullptr) throw Failure{"'" + type_name(callee) + "' object is not callable"};
  const std::shared_ptr<const Callable> kept = *callable;
  const Depth deeper(depth_);
  return kept->call(*this, arguments);
}

Value Interpreter::evaluate_filter(const Expression& node) {
  // Without an operand it is the first filter of a filter block.
  const Value value = node.parts[0] ? evaluate(*node.parts[0]) : std::exchange(filtered_, Value());
  const Arguments arguments = evaluate_arguments(node.arguments);
  line_ = node.line;
  return apply_filter(node.text, value, arguments);
}

Value Interpreter::evaluate_test(const Expression& node) {
  const Value value = evaluate(*node.parts[0]);
  const Arguments arguments = evaluate_arguments(node.arguments);
  line_ = node.line;
  return apply_test(node.text, value, arguments);
}

Value Interpreter::apply_filter(const std::string& name, const Value& value,
                                const Arguments& arguments) {
  const Filter filter = find_filter(name);
  if (filter == nullptr) throw Failure{"no filter named '" + name + "'"};
  const Depth deeper(depth_);
  return filter(*this, value, arguments);
}

bool Interpreter::apply_test(const std::string& name, const Value& value,
                             const Arguments& arguments) {
  const Test test = find_test(name);
  if (test == nullptr) throw Failure{"no test named '" + name + "'"};
  return test(*this, value, arguments);
}

Value Interpreter::attribute(const Value& object, const std::string& name) {
  require_defined(object);
  if (const auto* space = object.name_space()) {
    budget_.spend((*space)->attributes.size());
    const Value* found = (*space)->find(name);
    return found != nullptr ? *found : missing_member(object, name);
  }
  if (std::optional<Value> found = member(object, name)) return *found;
  if (const Dict* dict = object.dict()) {
    if (const Value* found = dict->find(name)) return *found;
  }
  return missing_member(object, name);
}

Value Interpreter::item(const Value& object, const Value& key) {
  require_defined(object);
  if (const Dict* dict = object.dict()) {
    if (const Value* found = dict->find(key, budget_)) return *found;
  } else if (key.is_integral() &&
             (object.is_string() || object.is_sequence(SequenceKind::list) ||
              object.is_sequence(SequenceKind::tuple) || object.is_sequence(SequenceKind::range))) {
    if (std::optional<Value> found = at_index(object, key.integer(), budget_)) return *found;
  }
  if (key.is_string()) {
    if (object.name_space() != nullptr) return attribute(object, key.string());
    if (std::optional<Value> found = member(object, key.string())) return *found;
    return missing_member(object, key.string());
  }
  return Value::undefined("'" + type_name(object) + " object' has no element " +
                          to_text(key, budget_));
}

}  // namespace qloft::chat_template::jinja
