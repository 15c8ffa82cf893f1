#pragma once
// Typed access to a JSON document that names the field in every complaint.

#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/io.h"

namespace qloft::tokenizer {

// A value at a path of a file. The document must outlive it.
class Field {
 public:
  Field(const io::Json& value, std::filesystem::path file, std::string path = {})
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const io::Json& json() const { return *value_; }
  const std::filesystem::path& file() const { return file_; }
  const std::string& path() const { return path_; }

  // A member of an object; nullopt where it is missing or null.
  std::optional<Field> find(std::string_view name) const;
  Field at(std::string_view name) const;  // throws InputError if missing or null
  std::vector<Field> elements() const;    // of an array
  std::vector<std::pair<std::string, Field>> members() const;  // of an object

  std::string string() const;
  bool boolean() const;
  std::int64_t integer() const;
  char32_t character() const;  // a string of one character

  std::string string(std::string_view name, std::string_view otherwise) const;
  bool boolean(std::string_view name, bool otherwise) const;

  // The index of a string in `names`; throws InputError that lists them.
  std::size_t choice(std::initializer_list<std::string_view> names) const;

  [[noreturn]] void fail(std::string_view expected) const;  // "expected ..., found THIS"
  [[noreturn]] void fail_with(std::string_view message) const;

 private:
  const io::Json* value_;
  std::filesystem::path file_;
  std::string path_;
};

}  // namespace qloft::tokenizer
