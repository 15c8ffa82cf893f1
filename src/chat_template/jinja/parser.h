#pragma once
// Tokens to the tree: the grammar of jinja2 3.1, with the loopcontrols extension and transformers'
// {% generation %}.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace qloft::chat_template::jinja {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}
  Template run();

 private:
  // Statements (parser_statements.cpp). A body ends before one of the tags `ends`, whose name is
  // taken.
  Body parse_body(std::initializer_list<std::string_view> ends);
  Statement parse_statement();
  Statement parse_print();
  Statement parse_if();
  Statement parse_for();
  Statement parse_set();
  Statement parse_macro();
  Statement parse_call_block();
  Statement parse_filter_block();
  Statement parse_with();
  void parse_parameters(Statement& statement);
  Target parse_target(bool with_attribute, std::string_view end);
  Target parse_single_target(bool with_attribute);
  Statement new_statement(StatementKind kind) const;

  // Expressions (parser_expressions.cpp), loosest first.
  ExpressionPtr parse_expression(bool with_condition = true);
  ExpressionPtr parse_tuple(bool with_condition, bool in_parentheses = false);
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filter = true);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_number();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_filters(ExpressionPtr node);
  ExpressionPtr parse_one_filter(ExpressionPtr node);
  ExpressionPtr parse_test(ExpressionPtr node);
  ExpressionPtr parse_subscript(ExpressionPtr node);
  CallArguments parse_arguments();
  // Also sets the depth; a tree that is too deep is an error.
  ExpressionPtr make(ExpressionKind kind, int line, std::vector<ExpressionPtr> parts = {});
  void finish(Expression& node) const;
  template <typename Next>
  ExpressionPtr parse_chain(
      std::initializer_list<std::pair<std::string_view, Operation>> operations, Next next);

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void advance() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool at_symbol(std::string_view text) const { return now().is(TokenKind::symbol, text); }
  bool at_name(std::string_view text) const { return now().is(TokenKind::name, text); }
  bool skip_symbol(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_symbol(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();
  void expect(TokenKind kind, std::string_view what);
  [[noreturn]] void fail(std::string message) const;
  [[noreturn]] void fail_unexpected(std::string_view wanted) const;

  // Counts how deep the parser calls itself.
  class Nesting {
   public:
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser_.nesting_; }

   private:
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  bool marks_generation_ = false;
};

}  // namespace qloft::chat_template::jinja
