#pragma once
// Typed access to the values of a JSON document: every complaint is an InputError that names the
// file, the field, what was expected and what was found.

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/io.h"

namespace qloft::io {

// A value as an error shows it: on one line, cut where it is long.
std::string shown(const Json& value);

// A value and its place in a file. The document must outlive it. A member that is null counts as
// missing.
class Field {
 public:
  explicit Field(const Json& value, ErrorLocation where = {})
      : value_(&value), where_(std::move(where)) {}
  Field(const Json& value, std::filesystem::path file, std::string path = {})
      : Field(value, ErrorLocation{std::move(file), std::move(path)}) {}

  const Json& json() const { return *value_; }
  const ErrorLocation& where() const { return where_; }
  const std::filesystem::path& file() const { return where_.file; }
  const std::string& path() const { return where_.field; }  // "rope_scaling.factor", "rows[2].bits"

  // ------------------------------------------------------------- the value itself

  std::string string() const;
  bool boolean() const;
  // A whole number in [low, high].
  std::int64_t integer(std::int64_t low = kLeast, std::int64_t high = kMost) const;
  // A finite number in [low, high].
  double number(double low = -kLargest, double high = kLargest) const;
  // The index in `names` of a string; the error lists them.
  std::size_t choice(std::initializer_list<std::string_view> names) const;
  // What `from_name` knows a string as.
  template <typename T>
  T named(std::optional<T> (*from_name)(std::string_view)) const {
    const auto value = from_name(string());
    if (!value) refuse("a known name");
    return *value;
  }
  std::vector<Field> elements() const;                         // of an array
  std::vector<std::string> strings() const;                    // of an array of strings
  std::vector<std::pair<std::string, Field>> members() const;  // of an object

  // ------------------------------------------------- members of an object, by name

  std::optional<Field> find(std::string_view name) const;  // empty: missing or null
  Field at(std::string_view name) const;                   // throws if missing or null
  bool has(std::string_view name) const { return find(name).has_value(); }
  // It is written, if only as null.
  bool mentions(std::string_view name) const;
  // Empty where missing or null.
  std::optional<std::string> string(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t low = kLeast,
                                      std::int64_t high = kMost) const;
  std::optional<double> number(std::string_view name, double low = -kLargest,
                               double high = kLargest) const;

  // ------------------------------------------------------------- complaints

  [[noreturn]] void refuse(std::string_view expected) const;  // "expected ..., found THIS"
  [[noreturn]] void fail(std::string_view message) const;
  [[noreturn]] void fail(std::string_view name, std::string_view message) const;  // of a member

 private:
  static constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  static constexpr double kLargest = std::numeric_limits<double>::max();

  ErrorLocation where_of(std::string_view name) const;

  const Json* value_;
  ErrorLocation where_;
};

}  // namespace qloft::io
