#pragma once
// A data file as rows of named texts: tab-separated values as GLUE publishes them, comma-separated
// ones, or rows of JSON.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "qloft/core/error.h"

namespace qloft::data {

// By its name: .tsv is split at tabs and knows no quotes, .csv is read by RFC 4180; others are rows
// of JSON (qloft/data/rows.h), whose members are the columns. All of it is in memory. Immutable:
// one object serves all threads. Cheap to copy.
class Table {
 public:
  // `columns`: their names where a .tsv or .csv has no line of them, and `columns` does not begin
  // its first line; empty: the first line has the names. Throws InputError naming the file that is
  // missing or without a row, or the line that has another number of columns.
  explicit Table(const std::filesystem::path& file, const std::vector<std::string>& columns = {});
  std::int64_t size() const;
  // In the file's order; of JSON the members of the first row.
  std::vector<std::string> columns() const;
  // Where these names stand.
  ErrorLocation names_location() const;
  bool has(const std::string& column) const;
  // Throws InputError at location(row) for a column that the row lacks; of JSON a text, a number or
  // a boolean.
  std::string text(std::int64_t row, const std::string& column) const;
  // The file, and "line N" or "element N", counted from 1.
  ErrorLocation location(std::int64_t row) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace qloft::data
