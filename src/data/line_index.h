#pragma once
// Where the lines of a text file begin: 8 bytes a line, whatever the lines hold.

#include <cstdint>
#include <string>
#include <vector>

#include "source_file.h"

namespace qloft::data {

// The offsets of a file's lines that are not blank. Reading is safe from many threads.
class LineIndex {
 public:
  // One pass over the file.
  explicit LineIndex(SourceFile file);

  const SourceFile& file() const { return file_; }
  std::int64_t size() const { return static_cast<std::int64_t>(offsets_.size()); }
  // Without its end of line.
  std::string line(std::int64_t index) const;
  // Counted from 1, blank lines included.
  std::int64_t line_number(std::int64_t index) const;

 private:
  // Blank lines before the line `index` and after those that an earlier gap counted.
  struct Gap {
    std::int64_t index = 0;
    std::int64_t blank_before = 0;  // of all blank lines so far
  };

  void scan();

  SourceFile file_;
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::vector<Gap> gaps_;
};

}  // namespace qloft::data
