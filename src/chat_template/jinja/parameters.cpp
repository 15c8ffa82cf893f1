#include "jinja/parameters.h"

#include <algorithm>

namespace qloft::chat_template::jinja {

Parameters::Parameters(const Arguments& arguments, std::string_view function,
                       std::initializer_list<std::string_view> names)
    : function_(function), names_(names.begin(), names.end()), given_(names.size(), nullptr) {
  if (arguments.positional.size() > names.size()) {
    throw Failure{function_ + " takes at most " + std::to_string(names.size()) +
                  " arguments, not " + std::to_string(arguments.positional.size())};
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i)
    given_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) throw Failure{function_ + " takes no argument '" + name + "'"};
    const Value*& given = given_[static_cast<std::size_t>(found - names_.begin())];
    if (given != nullptr) throw Failure{function_ + " got two values for '" + name + "'"};
    given = &value;
  }
}

const Value& Parameters::required(std::size_t index) const {
  if (given_[index] == nullptr) throw Failure{function_ + " lacks '" + names_[index] + "'"};
  return *given_[index];
}

Value Parameters::value(std::size_t index, const Value& fallback) const {
  return given_[index] != nullptr ? *given_[index] : fallback;
}

std::int64_t Parameters::integer(std::size_t index, std::int64_t fallback) const {
  if (given_[index] == nullptr || given_[index]->is_none()) return fallback;
  require_defined(*given_[index]);
  if (!given_[index]->is_integral()) {
    throw Failure{function_ + ": '" + names_[index] + "' must be an integer, not " +
                  type_name(*given_[index])};
  }
  return given_[index]->integer();
}

bool Parameters::flag(std::size_t index, bool fallback) const {
  return given_[index] != nullptr ? is_true(*given_[index]) : fallback;
}

std::string Parameters::text(std::size_t index, std::string fallback) const {
  if (given_[index] == nullptr || given_[index]->is_none()) return fallback;
  return required_text(index);
}

const std::string& Parameters::required_text(std::size_t index) const {
  const Value& value = required(index);
  require_defined(value);
  if (!value.is_string()) {
    throw Failure{function_ + ": '" + names_[index] + "' must be a string, not " +
                  type_name(value)};
  }
  return value.string();
}

}  // namespace qloft::chat_template::jinja
