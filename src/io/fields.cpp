#include "qloft/io/fields.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

namespace qloft::io {
namespace {

std::string plain(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

// "a whole number", "a whole number from 1", "a number from 0 to 1"
template <typename T>
std::string range_text(const char* kind, T low, T high, const std::string& low_text,
                       const std::string& high_text) {
  std::string text = kind;
  if (low > std::numeric_limits<T>::lowest()) text += " from " + low_text;
  if (high < std::numeric_limits<T>::max()) text += " to " + high_text;
  return text;
}

}  // namespace

std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::string Field::string() const {
  if (!value_->is_string()) refuse("a string");
  return value_->get<std::string>();
}

bool Field::boolean() const {
  if (!value_->is_boolean()) refuse("true or false");
  return value_->get<bool>();
}

std::int64_t Field::integer(std::int64_t low, std::int64_t high) const {
  const bool fits = value_->is_number_integer() &&
                    !(value_->is_number_unsigned() &&
                      value_->get<std::uint64_t>() > static_cast<std::uint64_t>(kMost));
  const std::int64_t number = fits ? value_->get<std::int64_t>() : 0;
  if (!fits || number < low || number > high) {
    refuse(range_text("a whole number", low, high, std::to_string(low), std::to_string(high)));
  }
  return number;
}

double Field::number(double low, double high) const {
  const double number = value_->is_number() ? value_->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    refuse(range_text("a number", low, high, plain(low), plain(high)));
  }
  return number;
}

std::size_t Field::choice(std::initializer_list<std::string_view> names) const {
  const std::string found = string();
  std::string list;
  std::size_t index = 0;
  for (const std::string_view name : names) {
    if (name == found) return index;
    list += (index == 0 ? "" : ", ") + std::string(name);
    ++index;
  }
  refuse("one of " + list);
}

std::vector<Field> Field::elements() const {
  if (!value_->is_array()) refuse("an array");
  std::vector<Field> fields;
  fields.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    fields.emplace_back((*value_)[i], file(), path() + "[" + std::to_string(i) + "]");
  }
  return fields;
}

std::vector<std::string> Field::strings() const {
  std::vector<std::string> out;
  for (const Field& element : elements()) out.push_back(element.string());
  return out;
}

std::vector<std::pair<std::string, Field>> Field::members() const {
  if (!value_->is_object()) refuse("an object");
  std::vector<std::pair<std::string, Field>> fields;
  fields.reserve(value_->size());
  for (const auto& [name, value] : value_->items()) {
    fields.emplace_back(name, Field(value, where_of(name)));
  }
  return fields;
}

std::optional<Field> Field::find(std::string_view name) const {
  if (!value_->is_object()) refuse("an object");
  const auto member = value_->find(std::string(name));
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return Field(*member, where_of(name));
}

Field Field::at(std::string_view name) const {
  if (auto field = find(name)) return *std::move(field);
  fail(name, "expected a value, found none");
}

bool Field::mentions(std::string_view name) const {
  return value_->is_object() && value_->contains(std::string(name));
}

std::optional<std::string> Field::string(std::string_view name) const {
  const auto field = find(name);
  return field ? std::optional(field->string()) : std::nullopt;
}

std::optional<bool> Field::boolean(std::string_view name) const {
  const auto field = find(name);
  return field ? std::optional(field->boolean()) : std::nullopt;
}

std::optional<std::int64_t> Field::integer(std::string_view name, std::int64_t low,
                                           std::int64_t high) const {
  const auto field = find(name);
  return field ? std::optional(field->integer(low, high)) : std::nullopt;
}

std::optional<double> Field::number(std::string_view name, double low, double high) const {
  const auto field = find(name);
  return field ? std::optional(field->number(low, high)) : std::nullopt;
}

void Field::refuse(std::string_view expected) const {
  fail("expected " + std::string(expected) + ", found " + shown(*value_));
}

void Field::fail(std::string_view message) const {
  throw InputError(where_, message);
}

void Field::fail(std::string_view name, std::string_view message) const {
  throw InputError(where_of(name), message);
}

ErrorLocation Field::where_of(std::string_view name) const {
  return {file(), path().empty() ? std::string(name) : path() + "." + std::string(name)};
}

}  // namespace qloft::io
