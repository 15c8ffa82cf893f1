#include <algorithm>

#include "jinja/parser.h"

namespace qloft::chat_template::jinja {
namespace {

constexpr int kDeepestNesting = 150;

// True if `name` is read anywhere in these statements' expressions: a macro takes further arguments
// only where its body asks for them.
class NameFinder {
 public:
  explicit NameFinder(std::string_view name) : name_(name) {}

  bool in(const Body& body) const {
    return std::any_of(body.begin(), body.end(),
                       [&](const Statement& statement) { return in(statement); });
  }

 private:
  bool in(const ExpressionPtr& node) const {
    if (!node) return false;
    if (node->kind == ExpressionKind::name && node->text == name_) return true;
    const CallArguments& arguments = node->arguments;
    const auto inside = [&](const ExpressionPtr& part) { return in(part); };
    return std::any_of(node->parts.begin(), node->parts.end(), inside) ||
           std::any_of(arguments.positional.begin(), arguments.positional.end(), inside) ||
           std::any_of(arguments.named.begin(), arguments.named.end(),
                       [&](const auto& named) { return in(named.second); }) ||
           in(arguments.star) || in(arguments.double_star);
  }

  bool in(const Statement& statement) const {
    return in(statement.expression) || in(statement.test) || in(statement.body) ||
           in(statement.otherwise) ||
           std::any_of(statement.branches.begin(), statement.branches.end(),
                       [&](const Branch& branch) { return in(branch.test) || in(branch.body); }) ||
           std::any_of(statement.assignments.begin(), statement.assignments.end(),
                       [&](const auto& one) { return in(one.second); });
  }

  std::string_view name_;
};

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kDeepestNesting) {
    --parser_.nesting_;
    parser_.fail("the template is nested too deeply");
  }
}

void Parser::fail(std::string message) const {
  throw SyntaxFailure{now().line, now().column, std::move(message)};
}

void Parser::fail_unexpected(std::string_view wanted) const {
  std::string found;
  switch (now().kind) {
    case TokenKind::end:
    case TokenKind::data:
      found = "the end of the template";
      break;
    case TokenKind::variable_begin:
      found = "{{";
      break;
    case TokenKind::variable_end:
      found = "}}";
      break;
    case TokenKind::block_begin:
      found = "{%";
      break;
    case TokenKind::block_end:
      found = "%}";
      break;
    default:
      found = "'" + now().text.substr(0, 40) + "'";
  }
  fail("expected " + std::string(wanted) + ", found " + found);
}

bool Parser::skip_symbol(std::string_view text) {
  if (!at_symbol(text)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view text) {
  if (!at_name(text)) return false;
  advance();
  return true;
}

void Parser::expect_symbol(std::string_view text) {
  if (!skip_symbol(text)) fail_unexpected("'" + std::string(text) + "'");
}

void Parser::expect_name(std::string_view text) {
  if (!skip_name(text)) fail_unexpected("'" + std::string(text) + "'");
}

std::string Parser::expect_any_name() {
  if (now().kind != TokenKind::name) fail_unexpected("a name");
  std::string name = now().text;
  advance();
  return name;
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (now().kind != kind) fail_unexpected(what);
  advance();
}

Template Parser::run() {
  Template result;
  result.body = parse_body({});
  result.marks_generation = marks_generation_;
  return result;
}

Statement Parser::new_statement(StatementKind kind) const {
  Statement statement;
  statement.kind = kind;
  statement.line = now().line;
  return statement;
}

Body Parser::parse_body(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  Body body;
  for (;;) {
    if (now().kind == TokenKind::data) {
      Statement statement = new_statement(StatementKind::text);
      statement.text = now().text;
      body.push_back(std::move(statement));
      advance();
    } else if (now().kind == TokenKind::variable_begin) {
      advance();
      Statement statement = new_statement(StatementKind::print);
      statement.expression = parse_tuple(true);
      body.push_back(std::move(statement));
      expect(TokenKind::variable_end, "}}");
    } else if (now().kind == TokenKind::block_begin) {
      advance();
      if (now().kind == TokenKind::name &&
          std::find(ends.begin(), ends.end(), now().text) != ends.end()) {
        return body;
      }
      body.push_back(parse_statement());
      expect(TokenKind::block_end, "%}");
    } else if (ends.size() == 0) {
      return body;
    } else {
      fail("expected {% " + std::string(*(ends.end() - 1)) + " %}, found the end of the template");
    }
  }
}

Statement Parser::parse_statement() {
  if (now().kind != TokenKind::name) fail_unexpected("a statement");
  const std::string& name = now().text;
  if (name == "if") return parse_if();
  if (name == "for") return parse_for();
  if (name == "set") return parse_set();
  if (name == "macro") return parse_macro();
  if (name == "call") return parse_call_block();
  if (name == "filter") return parse_filter_block();
  if (name == "with") return parse_with();
  if (name == "print") {
    advance();
    return parse_print();
  }
  if (name == "break" || name == "continue") {
    if (loops_ == 0) fail("'" + name + "' stands outside of a loop");
    Statement statement =
        new_statement(name == "break" ? StatementKind::break_loop : StatementKind::continue_loop);
    advance();
    return statement;
  }
  if (name == "generation") {
    marks_generation_ = true;
    Statement statement = new_statement(StatementKind::generation);
    advance();
    expect(TokenKind::block_end, "%}");
    statement.body = parse_body({"endgeneration"});
    advance();
    return statement;
  }
  if (name == "autoescape" || name == "block") {
    // Without inheritance and with nothing to escape, both are their bodies in a scope of their
    // own.
    Statement statement = new_statement(StatementKind::scope);
    const bool block = name == "block";
    advance();
    if (block) {
      expect_any_name();
    } else {
      parse_expression();
    }
    expect(TokenKind::block_end, "%}");
    statement.body = parse_body({block ? "endblock" : "endautoescape"});
    advance();
    if (block && now().kind == TokenKind::name) advance();
    return statement;
  }
  fail("unknown tag '" + name + "'");
}

// {% print a, b %} prints one behind the other.
Statement Parser::parse_print() {
  Statement statement = new_statement(StatementKind::print);
  std::vector<ExpressionPtr> parts;
  do {
    parts.push_back(parse_expression());
  } while (skip_symbol(",") && now().kind != TokenKind::block_end);
  statement.expression = make(ExpressionKind::concat, statement.line, std::move(parts));
  return statement;
}

Statement Parser::parse_if() {
  Statement statement = new_statement(StatementKind::if_else);
  bool otherwise = false;
  while (!skip_name("endif")) {
    if (otherwise) fail_unexpected("{% endif %}");
    otherwise = at_name("else");
    advance();
    Branch& branch = statement.branches.emplace_back();
    if (!otherwise) branch.test = parse_tuple(false);
    expect(TokenKind::block_end, "%}");
    branch.body = otherwise ? parse_body({"endif"}) : parse_body({"elif", "else", "endif"});
  }
  return statement;
}

Statement Parser::parse_for() {
  Statement statement = new_statement(StatementKind::for_loop);
  advance();
  statement.target = parse_target(false, "in");
  expect_name("in");
  statement.expression = parse_tuple(false);
  if (skip_name("if")) statement.test = parse_expression();
  statement.recursive = skip_name("recursive");
  expect(TokenKind::block_end, "%}");
  ++loops_;
  statement.body = parse_body({"else", "endfor"});
  --loops_;
  if (skip_name("else")) {
    expect(TokenKind::block_end, "%}");
    statement.otherwise = parse_body({"endfor"});
  }
  advance();
  return statement;
}

Statement Parser::parse_set() {
  Statement statement = new_statement(StatementKind::set);
  advance();
  statement.target = parse_target(true, "=");
  if (skip_symbol("=")) {
    statement.expression = parse_tuple(true);
    return statement;
  }
  if (!statement.target.parts.empty()) fail_unexpected("'='");
  statement.kind = StatementKind::set_block;
  while (skip_symbol("|")) {
    statement.expression = parse_one_filter(std::move(statement.expression));
  }
  expect(TokenKind::block_end, "%}");
  statement.body = parse_body({"endset"});
  advance();
  return statement;
}

Statement Parser::parse_macro() {
  Statement statement = new_statement(StatementKind::macro);
  advance();
  statement.text = expect_any_name();
  parse_parameters(statement);
  expect(TokenKind::block_end, "%}");
  const int loops = std::exchange(loops_, 0);
  statement.body = parse_body({"endmacro"});
  loops_ = loops;
  advance();
  statement.uses_caller = NameFinder("caller").in(statement.body);
  statement.uses_varargs = NameFinder("varargs").in(statement.body);
  statement.uses_kwargs = NameFinder("kwargs").in(statement.body);
  return statement;
}

Statement Parser::parse_call_block() {
  Statement statement = new_statement(StatementKind::call_block);
  advance();
  if (at_symbol("(")) parse_parameters(statement);
  statement.expression = parse_expression();
  if (statement.expression->kind != ExpressionKind::call) fail("expected a call");
  expect(TokenKind::block_end, "%}");
  const int loops = std::exchange(loops_, 0);
  statement.body = parse_body({"endcall"});
  loops_ = loops;
  advance();
  statement.text = "caller";
  return statement;
}

Statement Parser::parse_filter_block() {
  Statement statement = new_statement(StatementKind::filter_block);
  advance();
  do {
    statement.expression = parse_one_filter(std::move(statement.expression));
  } while (skip_symbol("|"));
  expect(TokenKind::block_end, "%}");
  statement.body = parse_body({"endfilter"});
  advance();
  return statement;
}

Statement Parser::parse_with() {
  Statement statement = new_statement(StatementKind::with);
  advance();
  while (now().kind != TokenKind::block_end) {
    if (!statement.assignments.empty()) expect_symbol(",");
    Target target = parse_target(false, "=");
    expect_symbol("=");
    statement.assignments.emplace_back(std::move(target), parse_expression());
  }
  advance();
  statement.body = parse_body({"endwith"});
  advance();
  return statement;
}

void Parser::parse_parameters(Statement& statement) {
  expect_symbol("(");
  while (!at_symbol(")")) {
    if (!statement.parameters.empty()) expect_symbol(",");
    Parameter& parameter = statement.parameters.emplace_back();
    parameter.name = expect_any_name();
    if (skip_symbol("=")) {
      parameter.initial = parse_expression();
    } else if (statement.parameters.size() > 1 &&
               statement.parameters[statement.parameters.size() - 2].initial) {
      fail("a parameter without a default follows one with a default");
    }
  }
  expect_symbol(")");
}

Target Parser::parse_target(bool with_attribute, std::string_view end) {
  const Nesting nesting(*this);
  Target target;
  bool tuple = false;
  for (;;) {
    if (at_name(end) || at_symbol(end) || at_symbol(")") || now().kind == TokenKind::block_end) {
      break;
    }
    target.parts.push_back(parse_single_target(with_attribute));
    if (!skip_symbol(",")) break;
    tuple = true;
  }
  if (target.parts.empty()) fail_unexpected("a name");
  if (tuple) return target;
  Target single = std::move(target.parts.front());
  return single;
}

Target Parser::parse_single_target(bool with_attribute) {
  if (skip_symbol("(")) {
    Target target = parse_target(with_attribute, ")");
    expect_symbol(")");
    return target;
  }
  Target target;
  constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
  if (std::find(std::begin(kReserved), std::end(kReserved), now().text) != std::end(kReserved)) {
    fail("'" + now().text + "' cannot be assigned to");
  }
  target.name = expect_any_name();
  if (with_attribute && skip_symbol(".")) target.attribute = expect_any_name();
  return target;
}

Template parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace qloft::chat_template::jinja
