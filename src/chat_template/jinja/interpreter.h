#pragma once
// Runs a template's tree.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace qloft::chat_template::jinja {

struct Output {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> generated;  // bytes of {% generation %} blocks
};

class Interpreter {
 public:
  // `variables` are the template's names; `budget` is what the rendering may cost.
  Interpreter(const Template& source, Dict&& variables, Budget budget);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Throws Failure; line() then says where.
  Output run();
  int line() const { return line_; }

  // What filters, tests, functions and methods need.
  Budget& budget() { return budget_; }
  Value call(const Value& callee, const Arguments& arguments);
  Value attribute(const Value& object, const std::string& name);  // object.name
  Value item(const Value& object, const Value& key);              // object[key]
  Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
  bool apply_test(const std::string& name, const Value& value, const Arguments& arguments);
  Value new_namespace();

 private:
  // The names of a block; inner ones hide outer ones.
  struct Scope {
    std::vector<std::pair<std::string, Value>> names;
    std::shared_ptr<Scope> outer;

    Value* find(std::string_view name);
    void set(const std::string& name, Value value);
  };
  enum class Flow { on, break_loop, continue_loop };

  // Enters a new scope inside of `outer` and leaves it.
  class Entered {
   public:
    Entered(Interpreter& machine, std::shared_ptr<Scope> outer);
    ~Entered() { machine_.scope_ = std::move(left_); }

   private:
    Interpreter& machine_;
    std::shared_ptr<Scope> left_;
  };

  // execute.cpp
  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow execute_if(const Statement& statement);
  Flow execute_for(const Statement& statement);
  void run_loop(const Statement& statement, const Value& iterable, std::size_t depth);
  void execute_set_block(const Statement& statement);
  void execute_call_block(const Statement& statement);
  void execute_filter_block(const Statement& statement);
  Flow execute_with(const Statement& statement);
  void execute_generation(const Statement& statement);
  void assign(const Target& target, const Value& value);
  template <typename Action>
  std::string capture(Action action);
  std::string capture_body(const Body& body);
  Value recurse(const Loop& loop, const Arguments& arguments);
  void write(std::string_view text);
  Value make_macro(const Statement& statement);
  Value run_macro(const Statement& statement, const std::shared_ptr<Scope>& scope,
                  const Arguments& arguments);

  // evaluate.cpp
  Value evaluate(const Expression& node);
  Value evaluate_name(const Expression& node);
  Value evaluate_dict(const Expression& node);
  Value evaluate_compare(const Expression& node);
  Value evaluate_concat(const Expression& node);
  Value evaluate_conditional(const Expression& node);
  Value evaluate_slice(const Expression& node);
  Value evaluate_call(const Expression& node);
  Value evaluate_filter(const Expression& node);
  Value evaluate_test(const Expression& node);
  Values evaluate_all(const std::vector<ExpressionPtr>& nodes);
  Arguments evaluate_arguments(const CallArguments& arguments);

  const Template& source_;
  Budget budget_;
  std::shared_ptr<Scope> globals_;
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Scope>> captured_;  // what macros see
  // All that there are: they may hold each other, and are taken apart at the end.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  Value filtered_;  // what the filters of a filter block apply to
  std::string* out_ = nullptr;
  Output output_;
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace qloft::chat_template::jinja
