#pragma once
// {"String": ...} or {"Regex": ...}: what Split and Replace look for.

#include <string>
#include <string_view>
#include <variant>

#include "fields.h"
#include "regex.h"

namespace qloft::tokenizer {

class Pattern {
 public:
  explicit Pattern(std::string literal) : kind_(std::move(literal)) {}
  explicit Pattern(Regex regex) : kind_(std::move(regex)) {}
  // Throws InputError naming the field.
  static Pattern read(const Field& field);

  // Calls emit(begin, end) for each match in order.
  template <class Emit>
  void for_each(std::string_view text, Emit&& emit) const {
    if (const Regex* regex = std::get_if<Regex>(&kind_)) {
      for_each_match(*regex, text, emit);
      return;
    }
    const std::string& literal = std::get<std::string>(kind_);
    if (literal.empty()) {  // between all characters, as an empty regular expression
      for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) emit(i, i);
      }
      return;
    }
    for (std::size_t i = text.find(literal); i != std::string_view::npos;
         i = text.find(literal, i)) {
      emit(i, i + literal.size());
      i += literal.size();
    }
  }

 private:
  std::variant<std::string, Regex> kind_;
};

}  // namespace qloft::tokenizer
