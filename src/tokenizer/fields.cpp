#include "fields.h"

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kShown = 40;

std::string shown(const io::Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_null()) return "null";
  std::string text = value.dump(-1, ' ', true, io::Json::error_handler_t::replace);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

}  // namespace

void Field::fail_with(std::string_view message) const {
  throw InputError({file_, path_}, message);
}

void Field::fail(std::string_view expected) const {
  fail_with("expected " + std::string(expected) + ", found " + shown(*value_));
}

std::optional<Field> Field::find(std::string_view name) const {
  if (!value_->is_object()) fail("an object");
  const auto member = value_->find(std::string(name));
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return Field(*member, file_, path_.empty() ? std::string(name) : path_ + "." + std::string(name));
}

Field Field::at(std::string_view name) const {
  if (auto field = find(name)) return *field;
  throw InputError({file_, path_.empty() ? std::string(name) : path_ + "." + std::string(name)},
                   "expected a value, found none");
}

std::vector<Field> Field::elements() const {
  if (!value_->is_array()) fail("an array");
  std::vector<Field> fields;
  fields.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    fields.emplace_back((*value_)[i], file_, path_ + "[" + std::to_string(i) + "]");
  }
  return fields;
}

std::vector<std::pair<std::string, Field>> Field::members() const {
  if (!value_->is_object()) fail("an object");
  std::vector<std::pair<std::string, Field>> fields;
  fields.reserve(value_->size());
  for (const auto& [name, value] : value_->items()) {
    fields.emplace_back(name, Field(value, file_, path_.empty() ? name : path_ + "." + name));
  }
  return fields;
}

std::string Field::string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get<std::string>();
}

bool Field::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

std::int64_t Field::integer() const {
  if (!value_->is_number_integer() ||
      (value_->is_number_unsigned() && value_->get<std::uint64_t>() > INT64_MAX)) {
    fail("an integer");
  }
  return value_->get<std::int64_t>();
}

char32_t Field::character() const {
  const std::string text = string();
  if (text.empty() || character_at(text, 0).size != text.size()) fail("one character");
  return character_at(text, 0).code;
}

std::string Field::string(std::string_view name, std::string_view otherwise) const {
  const auto field = find(name);
  return field ? field->string() : std::string(otherwise);
}

bool Field::boolean(std::string_view name, bool otherwise) const {
  const auto field = find(name);
  return field ? field->boolean() : otherwise;
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
  fail("one of " + list);
}

}  // namespace qloft::tokenizer
