#pragma once
// Reading single fields of config.json with errors that name them.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "qloft/io.h"

namespace qloft::architecture {

// One JSON object and where it stands in the file. A field that is null counts as missing.
class Fields {
 public:
  Fields(const io::Json& object, std::filesystem::path file, std::string prefix = "");

  bool has(const char* key) const { return find(key) != nullptr; }
  // The field is written, if only as null.
  bool mentions(const char* key) const { return object_->contains(key); }
  // nullptr: missing or null.
  const io::Json* find(const char* key) const;

  // A whole number in [low, high].
  std::optional<std::int64_t> integer(const char* key, std::int64_t low, std::int64_t high) const;
  // A finite number in [low, high].
  std::optional<double> number(const char* key, double low, double high) const;
  std::optional<bool> boolean(const char* key) const;
  std::optional<std::string> text(const char* key) const;
  std::optional<Fields> object(const char* key) const;

  // The same, but the field must be there.
  std::int64_t required_integer(const char* key, std::int64_t low, std::int64_t high) const;
  double required_number(const char* key, double low, double high) const;

  // Throws the InputError for this field.
  [[noreturn]] void fail(const char* key, const std::string& message) const;

 private:
  const io::Json* object_;
  std::filesystem::path file_;
  std::string prefix_;  // "rope_parameters." within a nested object
};

}  // namespace qloft::architecture
