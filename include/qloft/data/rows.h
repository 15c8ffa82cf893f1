#pragma once
// The rows of a data file: the lines of JSON Lines, or the elements of a JSON array.

#include <cstdint>
#include <filesystem>
#include <memory>

#include "qloft/core/error.h"
#include "qloft/io.h"

namespace qloft::data {

// Rows are found in one pass and read when asked for: memory is 8 bytes a row. Blank lines and a
// byte-order mark are skipped. An array is the whole file, or the one member of an object that is
// an array of objects. Immutable: one object serves all threads. Cheap to copy.
class Rows {
 public:
  // Throws InputError naming the file that is missing, not regular, or an array that is broken.
  explicit Rows(const std::filesystem::path& file);
  std::int64_t size() const;
  // Throws InputError at location(index) for what is no JSON.
  io::Json read(std::int64_t index) const;
  // The file, and "line N" or "element N", counted from 1.
  ErrorLocation location(std::int64_t index) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// By its name (.jsonl or .json): is it a file of rows, where a text could stand as well?
bool is_rows_file(const std::filesystem::path& file);

}  // namespace qloft::data
