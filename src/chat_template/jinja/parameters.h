#pragma once
// The arguments of a call, matched to a function's parameters.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace qloft::chat_template::jinja {

class Parameters {
 public:
  // `names` in the order of the positional arguments. Throws Failure where there are too many, or
  // an unknown or a repeated one.
  Parameters(const Arguments& arguments, std::string_view function,
             std::initializer_list<std::string_view> names);

  // nullptr: not given.
  const Value* find(std::size_t index) const { return given_[index]; }
  // The value as the wanted type; throws Failure where it is of another.
  const Value& required(std::size_t index) const;
  Value value(std::size_t index, const Value& fallback) const;
  std::int64_t integer(std::size_t index, std::int64_t fallback) const;
  bool flag(std::size_t index, bool fallback) const;
  // None counts as not given.
  std::string text(std::size_t index, std::string fallback) const;
  const std::string& required_text(std::size_t index) const;

 private:
  std::string function_;
  std::vector<std::string> names_;
  std::vector<const Value*> given_;
};

}  // namespace qloft::chat_template::jinja
