#include "fields.h"

#include <cmath>
#include <sstream>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::architecture {
namespace {

// The value as it stands in the file, cut to a length that fits in one line.
std::string shown(const io::Json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  std::string text = value.dump(-1, ' ', true, io::Json::error_handler_t::replace);
  constexpr std::size_t kLongest = 60;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::string plain(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

Fields::Fields(const io::Json& object, std::filesystem::path file, std::string prefix)
    : object_(&object), file_(std::move(file)), prefix_(std::move(prefix)) {
  if (!object.is_object()) {
    std::string field = prefix_;
    if (!field.empty()) field.pop_back();  // the trailing dot
    throw InputError({file_, field}, "expected an object, found " + shown(object));
  }
}

void Fields::fail(const char* key, const std::string& message) const {
  throw InputError({file_, prefix_ + key}, message);
}

const io::Json* Fields::find(const char* key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> Fields::integer(const char* key, std::int64_t low,
                                            std::int64_t high) const {
  const io::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string expected =
      "expected a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value->is_number_integer()) fail(key, expected + ", found " + shown(*value));
  const bool too_large =
      value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(high);
  const auto number = value->get<std::int64_t>();
  if (too_large || number < low || number > high) fail(key, expected + ", found " + shown(*value));
  return number;
}

std::optional<double> Fields::number(const char* key, double low, double high) const {
  const io::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    fail(key, "expected a number from " + plain(low) + " to " + plain(high) + ", found " +
                  shown(*value));
  }
  return number;
}

std::optional<bool> Fields::boolean(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(key, "expected true or false, found " + shown(*value));
  return value->get<bool>();
}

std::optional<std::string> Fields::text(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(key, "expected a string, found " + shown(*value));
  return value->get<std::string>();
}

std::optional<Fields> Fields::object(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return Fields(*value, file_, prefix_ + key + ".");
}

std::int64_t Fields::required_integer(const char* key, std::int64_t low, std::int64_t high) const {
  const auto value = integer(key, low, high);
  if (!value) {
    fail(key, "expected a whole number from " + std::to_string(low) + " to " +
                  std::to_string(high) + ", found nothing");
  }
  return *value;
}

double Fields::required_number(const char* key, double low, double high) const {
  const auto value = number(key, low, high);
  if (!value) {
    fail(key, "expected a number from " + plain(low) + " to " + plain(high) + ", found nothing");
  }
  return *value;
}

}  // namespace qloft::architecture
