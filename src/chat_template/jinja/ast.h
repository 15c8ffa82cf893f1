#pragma once
// The parsed template.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jinja/lexer.h"
#include "jinja/value.h"

namespace qloft::chat_template::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind : std::uint8_t {
  constant,     // value
  name,         // text
  list,         // parts
  tuple,        // parts
  dict,         // parts: key, value, key, value, ...
  negative,     // parts[0]
  positive,     // parts[0]
  logical_not,  // parts[0]
  logical_and,  // parts[0], parts[1]
  logical_or,   // parts[0], parts[1]
  arithmetic,   // parts[0] operations[0] parts[1]
  compare,      // parts[0] operations[0] parts[1] operations[1] parts[2] ...
  concat,       // parts
  conditional,  // parts: test, value, other (null: undefined)
  attribute,    // parts[0].text
  item,         // parts[0][parts[1]]
  slice,        // parts[0][parts[1]:parts[2]:parts[3]], each of the last three may be null
  call,         // parts[0](arguments)
  filter,       // parts[0] | text(arguments); parts[0] null: the body of a filter block
  test          // parts[0] is text(arguments)
};

enum class Operation : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         // *expression
  ExpressionPtr double_star;  // **expression
};

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 1;
  int depth = 1;
  std::string text;
  Value value;
  std::vector<ExpressionPtr> parts;
  std::vector<Operation> operations;
  CallArguments arguments;
};

// What `for` and `set` assign to: a name, a namespace's attribute, or a tuple of targets.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> parts;  // not empty: a tuple
};

struct Parameter {
  std::string name;
  ExpressionPtr initial;  // null: undefined
};

struct Statement;
using Body = std::vector<Statement>;

enum class StatementKind : std::uint8_t {
  text,          // text
  print,         // expression
  if_else,       // branches in order, the last may have no test
  for_loop,      // target, expression, test (may be null), body, otherwise
  set,           // target, expression
  set_block,     // target, body, expression (filters over the body, may be null)
  macro,         // text (its name), parameters, body
  call_block,    // parameters, expression (a call), body
  filter_block,  // expression (filters over the body), body
  with,          // assignments, body
  generation,    // body
  scope,         // body
  break_loop,
  continue_loop
};

struct Branch;

struct Statement {
  StatementKind kind = StatementKind::text;
  int line = 1;
  std::string text;
  Target target;
  ExpressionPtr expression;
  ExpressionPtr test;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  bool uses_caller = false;  // of a macro: what its body names
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool recursive = false;
  Body body;
  Body otherwise;
};

struct Branch {
  ExpressionPtr test;  // null: else
  Body body;
};

struct Template {
  Body body;
  bool marks_generation = false;
};

// Throws SyntaxFailure.
Template parse(std::string_view source);

}  // namespace qloft::chat_template::jinja
