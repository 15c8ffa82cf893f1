#include <algorithm>

#include "jinja/depth.h"
#include "jinja/interpreter.h"
#include "jinja/print.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr std::size_t kStatementCost = 16;

}  // namespace

Value* Interpreter::Scope::find(std::string_view name) {
  for (auto& [own, value] : names) {
    if (own == name) return &value;
  }
  return nullptr;
}

void Interpreter::Scope::set(const std::string& name, Value value) {
  if (Value* found = find(name)) {
    *found = std::move(value);
  } else {
    names.emplace_back(name, std::move(value));
  }
}

Interpreter::Entered::Entered(Interpreter& machine, std::shared_ptr<Scope> outer)
    : machine_(machine), left_(std::move(machine.scope_)) {
  machine_.budget_.spend(sizeof(Scope));
  machine_.scope_ = std::make_shared<Scope>();
  machine_.scope_->outer = std::move(outer);
}

Interpreter::~Interpreter() {
  for (const auto& space : namespaces_) space->attributes.clear();
}

Output Interpreter::run() {
  output_ = {};
  out_ = &output_.text;
  execute(source_.body);
  return std::move(output_);
}

Value Interpreter::new_namespace() {
  budget_.spend(sizeof(Namespace));
  return namespaces_.emplace_back(std::make_shared<Namespace>());
}

void Interpreter::write(std::string_view text) {
  budget_.spend(text.size());
  *out_ += text;
}

template <typename Action>
std::string Interpreter::capture(Action action) {
  std::string text;
  std::string* before = std::exchange(out_, &text);
  try {
    action();
  } catch (...) {
    out_ = before;
    throw;
  }
  out_ = before;
  return text;
}

std::string Interpreter::capture_body(const Body& body) {
  return capture([&] { execute(body); });
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = execute(statement);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  const Depth deeper(depth_);
  budget_.spend(kStatementCost);
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::text:
      write(statement.text);
      break;
    case StatementKind::print:
      write(to_text(evaluate(*statement.expression), budget_));
      break;
    case StatementKind::if_else:
      return execute_if(statement);
    case StatementKind::for_loop:
      return execute_for(statement);
    case StatementKind::set:
      assign(statement.target, evaluate(*statement.expression));
      break;
    case StatementKind::set_block:
      execute_set_block(statement);
      break;
    case StatementKind::macro:
      scope_->set(statement.text, make_macro(statement));
      break;
    case StatementKind::call_block:
      execute_call_block(statement);
      break;
    case StatementKind::filter_block:
      execute_filter_block(statement);
      break;
    case StatementKind::with:
      return execute_with(statement);
    case StatementKind::generation:
      execute_generation(statement);
      break;
    case StatementKind::scope: {
      const Entered inner(*this, scope_);
      return execute(statement.body);
    }
    case StatementKind::break_loop:
      return Flow::break_loop;
    case StatementKind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::on;
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (!branch.test || is_true(evaluate(*branch.test))) return execute(branch.body);
  }
  return Flow::on;
}

Interpreter::Flow Interpreter::execute_for(const Statement& statement) {
  run_loop(statement, evaluate(*statement.expression), 0);
  return Flow::on;
}

void Interpreter::run_loop(const Statement& statement, const Value& iterable, std::size_t depth) {
  const std::shared_ptr<Scope> outer = scope_;
  auto items = iterate(iterable, budget_);
  if (statement.test) {
    Values kept;
    for (const Value& one : items) {
      const Entered inner(*this, outer);
      assign(statement.target, one);
      if (is_true(evaluate(*statement.test))) kept.push_back(one);
    }
    budget_.spend(kept.size() * sizeof(Value));
    items = Items(Value::sequence(std::move(kept)).sequence()->data);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Entered inner(*this, outer);
    scope_->set("loop", std::make_shared<const Loop>(Loop{items.data(), i, depth, &statement}));
    assign(statement.target, items[i]);
    if (execute(statement.body) == Flow::break_loop) break;
  }
  if (items.empty()) {
    const Entered inner(*this, outer);
    execute(statement.otherwise);
  }
}

// loop(items) in a recursive for: its body once more, over what is inside.
Value Interpreter::recurse(const Loop& loop, const Arguments& arguments) {
  if (!loop.statement->recursive) throw Failure{"the loop is not recursive"};
  if (arguments.positional.size() != 1) throw Failure{"loop() takes one argument"};
  const Depth deeper(depth_);
  const Value items = arguments.positional.front();
  const std::size_t depth = loop.depth0 + 1;
  const Statement& statement = *loop.statement;
  return Value(capture([&] { run_loop(statement, items, depth); }));
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const auto items = iterate(value, budget_);
    if (items.size() != target.parts.size()) {
      throw Failure{"expected " + std::to_string(target.parts.size()) +
                    " values to unpack, found " + std::to_string(items.size())};
    }
    for (std::size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], items[i]);
    return;
  }
  if (target.attribute.empty()) {
    budget_.spend(sizeof(Value) + scope_->names.size());
    scope_->set(target.name, value);
    return;
  }
  for (Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
    const Value* found = scope->find(target.name);
    if (found == nullptr) continue;
    const auto* space = found->name_space();
    if (space == nullptr) break;
    (*space)->set(target.attribute, value);
    return;
  }
  throw Failure{"cannot assign an attribute on '" + target.name + "': it is no namespace"};
}

void Interpreter::execute_set_block(const Statement& statement) {
  Value value;
  {
    const Entered inner(*this, scope_);
    value = Value(capture_body(statement.body));
  }
  if (statement.expression) {
    filtered_ = std::move(value);
    value = evaluate(*statement.expression);
  }
  assign(statement.target, value);
}

void Interpreter::execute_filter_block(const Statement& statement) {
  Value value;
  {
    const Entered inner(*this, scope_);
    value = Value(capture_body(statement.body));
  }
  filtered_ = std::move(value);
  write(to_text(evaluate(*statement.expression), budget_));
}

void Interpreter::execute_call_block(const Statement& statement) {
  const Expression& node = *statement.expression;
  const Value callee = evaluate(*node.parts.front());
  Arguments arguments = evaluate_arguments(node.arguments);
  arguments.named.emplace_back("caller", make_macro(statement));
  write(to_text(call(callee, arguments), budget_));
}

Interpreter::Flow Interpreter::execute_with(const Statement& statement) {
  Values values;
  for (const auto& [target, expression] : statement.assignments) {
    values.push_back(evaluate(*expression));
  }
  const Entered inner(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) {
    assign(statement.assignments[i].first, values[i]);
  }
  return execute(statement.body);
}

void Interpreter::execute_generation(const Statement& statement) {
  const Entered inner(*this, scope_);
  const std::string text = capture_body(statement.body);
  const std::size_t begin = output_.text.size();
  output_.generated.emplace_back(begin, begin + text.size());
  write(text);
}

Value Interpreter::make_macro(const Statement& statement) {
  captured_.push_back(scope_);
  return Value::function(statement.text, [this, &statement, scope = std::weak_ptr<Scope>(scope_)](
                                             Interpreter&, const Arguments& arguments) {
    return run_macro(statement, scope.lock(), arguments);
  });
}

Value Interpreter::run_macro(const Statement& statement, const std::shared_ptr<Scope>& scope,
                             const Arguments& arguments) {
  const int line = line_;
  const auto& parameters = statement.parameters;
  const std::string name = "macro '" + statement.text + "'";
  if (arguments.positional.size() > parameters.size() && !statement.uses_varargs) {
    throw Failure{name + " takes at most " + std::to_string(parameters.size()) + " arguments"};
  }
  std::string text;
  {
    const Entered inner(*this, scope);
    auto named = arguments.named;
    const auto take = [&](const std::string& wanted) -> std::optional<Value> {
      const auto found = std::find_if(named.begin(), named.end(),
                                      [&](const auto& one) { return one.first == wanted; });
      if (found == named.end()) return std::nullopt;
      Value value = std::move(found->second);
      named.erase(found);
      return value;
    };
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& parameter = parameters[i];
      if (i < arguments.positional.size()) {
        scope_->set(parameter.name, arguments.positional[i]);
      } else if (std::optional<Value> given = take(parameter.name)) {
        scope_->set(parameter.name, *given);
      } else if (parameter.initial) {
        scope_->set(parameter.name, evaluate(*parameter.initial));
      } else {
        scope_->set(parameter.name,
                    Value::undefined("parameter '" + parameter.name + "' was not provided"));
      }
    }
    if (statement.uses_caller && scope_->find("caller") == nullptr) {
      const std::optional<Value> caller = take("caller");
      scope_->set("caller", caller ? *caller : Value::undefined("No caller defined"));
    }
    if (statement.uses_varargs) {
      const std::size_t used = std::min(parameters.size(), arguments.positional.size());
      Values rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                  arguments.positional.end());
      scope_->set("varargs", Value::sequence(std::move(rest), SequenceKind::tuple));
    }
    if (statement.uses_kwargs) {
      Dict rest;
      for (auto& [key, value] : named) rest.set(key, value, budget_);
      scope_->set("kwargs", std::make_shared<const Dict>(std::move(rest)));
    } else if (!named.empty()) {
      throw Failure{name + " takes no argument '" + named.front().first + "'"};
    }
    text = capture_body(statement.body);
  }
  line_ = line;
  return Value(std::move(text));
}

}  // namespace qloft::chat_template::jinja
