#include <algorithm>
#include <charconv>

#include "jinja/parser.h"

namespace qloft::chat_template::jinja {
namespace {

// Deeper trees would exhaust the stack.
constexpr int kDeepestTree = 200;

int depth_of(const ExpressionPtr& node) {
  return node ? node->depth : 0;
}

}  // namespace

void Parser::finish(Expression& node) const {
  int depth = 0;
  for (const ExpressionPtr& part : node.parts) depth = std::max(depth, depth_of(part));
  for (const ExpressionPtr& part : node.arguments.positional) {
    depth = std::max(depth, depth_of(part));
  }
  for (const auto& [name, part] : node.arguments.named) depth = std::max(depth, depth_of(part));
  depth = std::max({depth, depth_of(node.arguments.star), depth_of(node.arguments.double_star)});
  node.depth = depth + 1;
  if (node.depth > kDeepestTree) fail("the expression is nested too deeply");
}

ExpressionPtr Parser::make(ExpressionKind kind, int line, std::vector<ExpressionPtr> parts) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->parts = std::move(parts);
  finish(*node);
  return node;
}

namespace {

template <typename... Parts>
std::vector<ExpressionPtr> list_of(Parts... parts) {
  std::vector<ExpressionPtr> list;
  (list.push_back(std::move(parts)), ...);
  return list;
}

}  // namespace

ExpressionPtr Parser::parse_expression(bool with_condition) {
  const Nesting nesting(*this);
  ExpressionPtr node = parse_or();
  while (with_condition && skip_name("if")) {
    const int line = node->line;
    ExpressionPtr test = parse_or();
    ExpressionPtr other = skip_name("else") ? parse_expression() : nullptr;
    node = make(ExpressionKind::conditional, line,
                list_of(std::move(test), std::move(node), std::move(other)));
  }
  return node;
}

ExpressionPtr Parser::parse_tuple(bool with_condition, bool in_parentheses) {
  const int line = now().line;
  std::vector<ExpressionPtr> parts;
  bool tuple = false;
  for (;;) {
    const bool ends = now().kind == TokenKind::variable_end || now().kind == TokenKind::block_end ||
                      at_symbol(")") || at_name("recursive");
    if (ends) break;
    parts.push_back(parse_expression(with_condition));
    if (!skip_symbol(",")) break;
    tuple = true;
  }
  if (!tuple && !parts.empty()) return std::move(parts.front());
  if (!tuple && !in_parentheses) fail_unexpected("an expression");
  return make(ExpressionKind::tuple, line, std::move(parts));
}

ExpressionPtr Parser::parse_or() {
  ExpressionPtr node = parse_and();
  while (skip_name("or")) {
    const int line = node->line;
    node = make(ExpressionKind::logical_or, line, list_of(std::move(node), parse_and()));
  }
  return node;
}

ExpressionPtr Parser::parse_and() {
  ExpressionPtr node = parse_not();
  while (skip_name("and")) {
    const int line = node->line;
    node = make(ExpressionKind::logical_and, line, list_of(std::move(node), parse_not()));
  }
  return node;
}

ExpressionPtr Parser::parse_not() {
  const int line = now().line;
  if (!skip_name("not")) return parse_compare();
  const Nesting nesting(*this);
  return make(ExpressionKind::logical_not, line, list_of(parse_not()));
}

ExpressionPtr Parser::parse_compare() {
  constexpr std::pair<std::string_view, Operation> kSymbols[] = {
      {"==", Operation::equal},  {"!=", Operation::not_equal},
      {"<", Operation::less},    {"<=", Operation::less_equal},
      {">", Operation::greater}, {">=", Operation::greater_equal}};
  const int line = now().line;
  std::vector<ExpressionPtr> parts = list_of(parse_sum());
  std::vector<Operation> operations;
  for (;;) {
    const auto* row = std::find_if(std::begin(kSymbols), std::end(kSymbols),
                                   [&](const auto& symbol) { return at_symbol(symbol.first); });
    if (row != std::end(kSymbols)) {
      advance();
      operations.push_back(row->second);
    } else if (skip_name("in")) {
      operations.push_back(Operation::in);
    } else if (at_name("not") && ahead().is(TokenKind::name, "in")) {
      advance();
      advance();
      operations.push_back(Operation::not_in);
    } else {
      break;
    }
    parts.push_back(parse_sum());
  }
  if (operations.empty()) return std::move(parts.front());
  ExpressionPtr node = make(ExpressionKind::compare, line, std::move(parts));
  node->operations = std::move(operations);
  return node;
}

template <typename Next>
ExpressionPtr Parser::parse_chain(
    std::initializer_list<std::pair<std::string_view, Operation>> operations, Next next) {
  ExpressionPtr node = next();
  for (;;) {
    const auto* row = std::find_if(operations.begin(), operations.end(),
                                   [&](const auto& symbol) { return at_symbol(symbol.first); });
    if (row == operations.end()) return node;
    advance();
    const int line = node->line;
    ExpressionPtr right = next();
    node = make(ExpressionKind::arithmetic, line, list_of(std::move(node), std::move(right)));
    node->operations = {row->second};
  }
}

ExpressionPtr Parser::parse_sum() {
  return parse_chain({{"+", Operation::add}, {"-", Operation::subtract}},
                     [this] { return parse_concat(); });
}

ExpressionPtr Parser::parse_concat() {
  const int line = now().line;
  std::vector<ExpressionPtr> parts = list_of(parse_product());
  while (skip_symbol("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return std::move(parts.front());
  return make(ExpressionKind::concat, line, std::move(parts));
}

ExpressionPtr Parser::parse_product() {
  return parse_chain({{"*", Operation::multiply},
                      {"/", Operation::divide},
                      {"//", Operation::floor_divide},
                      {"%", Operation::modulo}},
                     [this] { return parse_power(); });
}

ExpressionPtr Parser::parse_power() {
  return parse_chain({{"**", Operation::power}}, [this] { return parse_unary(); });
}

ExpressionPtr Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  const int line = now().line;
  ExpressionPtr node;
  if (skip_symbol("-")) {
    node = make(ExpressionKind::negative, line, list_of(parse_unary(false)));
  } else if (skip_symbol("+")) {
    node = make(ExpressionKind::positive, line, list_of(parse_unary(false)));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters(std::move(node)) : std::move(node);
}

ExpressionPtr Parser::parse_primary() {
  const int line = now().line;
  ExpressionPtr node = make(ExpressionKind::constant, line);
  switch (now().kind) {
    case TokenKind::name:
      node->text = now().text;
      if (node->text == "true" || node->text == "True") {
        node->value = true;
      } else if (node->text == "false" || node->text == "False") {
        node->value = false;
      } else if (node->text == "none" || node->text == "None") {
        node->value = None{};
      } else {
        node->kind = ExpressionKind::name;
      }
      advance();
      return node;
    case TokenKind::string: {
      std::string text;
      for (; now().kind == TokenKind::string; advance()) text += now().text;
      node->value = text;
      return node;
    }
    case TokenKind::integer:
    case TokenKind::real:
      return parse_number();
    default:
      break;
  }
  if (skip_symbol("(")) {
    node = parse_tuple(true, true);
    expect_symbol(")");
    return node;
  }
  if (at_symbol("[")) return parse_list();
  if (at_symbol("{")) return parse_dict();
  fail_unexpected("an expression");
}

ExpressionPtr Parser::parse_number() {
  ExpressionPtr node = make(ExpressionKind::constant, now().line);
  const std::string& text = now().text;
  if (now().kind == TokenKind::real) {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    node->value = value;
  } else {
    const char mark = text.size() > 1 ? text[1] : '\0';
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    std::int64_t value = 0;
    const char* begin = text.data() + (base == 10 ? 0 : 2);
    const auto result = std::from_chars(begin, text.data() + text.size(), value, base);
    if (result.ec != std::errc()) fail("the number is too large");
    node->value = value;
  }
  advance();
  return node;
}

ExpressionPtr Parser::parse_list() {
  const int line = now().line;
  expect_symbol("[");
  std::vector<ExpressionPtr> parts;
  while (!at_symbol("]")) {
    if (!parts.empty()) expect_symbol(",");
    if (at_symbol("]")) break;
    parts.push_back(parse_expression());
  }
  expect_symbol("]");
  return make(ExpressionKind::list, line, std::move(parts));
}

ExpressionPtr Parser::parse_dict() {
  const int line = now().line;
  expect_symbol("{");
  std::vector<ExpressionPtr> parts;
  while (!at_symbol("}")) {
    if (!parts.empty()) expect_symbol(",");
    if (at_symbol("}")) break;
    parts.push_back(parse_expression());
    expect_symbol(":");
    parts.push_back(parse_expression());
  }
  expect_symbol("}");
  return make(ExpressionKind::dict, line, std::move(parts));
}

ExpressionPtr Parser::parse_postfix(ExpressionPtr node) {
  for (;;) {
    if (at_symbol(".") || at_symbol("[")) {
      node = parse_subscript(std::move(node));
    } else if (at_symbol("(")) {
      const int line = now().line;
      node = make(ExpressionKind::call, line, list_of(std::move(node)));
      node->arguments = parse_arguments();
      finish(*node);
    } else {
      return node;
    }
  }
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr node) {
  const int line = now().line;
  if (skip_symbol(".")) {
    if (now().kind == TokenKind::integer) {
      return make(ExpressionKind::item, line, list_of(std::move(node), parse_number()));
    }
    node = make(ExpressionKind::attribute, line, list_of(std::move(node)));
    node->text = expect_any_name();
    return node;
  }
  expect_symbol("[");
  const auto bound = [&]() -> ExpressionPtr {
    return at_symbol(":") || at_symbol("]") ? nullptr : parse_expression();
  };
  ExpressionPtr first = bound();
  if (!skip_symbol(":")) {
    if (!first) fail_unexpected("a subscript");
    if (at_symbol(",")) {
      std::vector<ExpressionPtr> parts = list_of(std::move(first));
      while (skip_symbol(",")) parts.push_back(parse_expression());
      first = make(ExpressionKind::tuple, line, std::move(parts));
    }
    expect_symbol("]");
    return make(ExpressionKind::item, line, list_of(std::move(node), std::move(first)));
  }
  ExpressionPtr second = bound();
  ExpressionPtr third = skip_symbol(":") ? bound() : nullptr;
  expect_symbol("]");
  return make(ExpressionKind::slice, line,
              list_of(std::move(node), std::move(first), std::move(second), std::move(third)));
}

CallArguments Parser::parse_arguments() {
  CallArguments result;
  expect_symbol("(");
  bool first = true;
  while (!at_symbol(")")) {
    if (!first) expect_symbol(",");
    if (at_symbol(")")) break;
    first = false;
    if (skip_symbol("*")) {
      if (result.star || result.double_star) fail("expected a named argument");
      result.star = parse_expression();
    } else if (skip_symbol("**")) {
      if (result.double_star) fail("expected the end of the arguments");
      result.double_star = parse_expression();
    } else if (now().kind == TokenKind::name && ahead().is(TokenKind::symbol, "=")) {
      if (result.double_star) fail("expected the end of the arguments");
      std::string name = expect_any_name();
      advance();
      result.named.emplace_back(std::move(name), parse_expression());
    } else {
      if (result.star || result.double_star || !result.named.empty()) {
        fail("expected a named argument");
      }
      result.positional.push_back(parse_expression());
    }
  }
  expect_symbol(")");
  return result;
}

ExpressionPtr Parser::parse_filters(ExpressionPtr node) {
  for (;;) {
    if (skip_symbol("|")) {
      node = parse_one_filter(std::move(node));
    } else if (skip_name("is")) {
      node = parse_test(std::move(node));
    } else if (at_symbol("(")) {
      node = parse_postfix(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr Parser::parse_one_filter(ExpressionPtr node) {
  ExpressionPtr filter = make(ExpressionKind::filter, now().line, list_of(std::move(node)));
  filter->text = expect_any_name();
  if (at_symbol("(")) filter->arguments = parse_arguments();
  finish(*filter);
  return filter;
}

ExpressionPtr Parser::parse_test(ExpressionPtr node) {
  const int line = now().line;
  const bool negated = skip_name("not");
  ExpressionPtr test = make(ExpressionKind::test, line, list_of(std::move(node)));
  test->text = expect_any_name();
  const bool name =
      now().kind == TokenKind::name && !at_name("else") && !at_name("or") && !at_name("and");
  if (at_symbol("(")) {
    test->arguments = parse_arguments();
  } else if (name || now().kind == TokenKind::string || now().kind == TokenKind::integer ||
             now().kind == TokenKind::real || at_symbol("[") || at_symbol("{")) {
    if (at_name("is")) fail("tests cannot be chained with is");
    const Nesting nesting(*this);
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  finish(*test);
  if (!negated) return test;
  return make(ExpressionKind::logical_not, line, list_of(std::move(test)));
}

}  // namespace qloft::chat_template::jinja
