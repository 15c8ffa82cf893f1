#pragma once
// Where the lines of text files begin: 8 bytes a line, whatever the lines hold.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qloft::data {

// One file: an open descriptor and the offsets of its lines that are not blank. Reading is safe
// from many threads.
class LineIndex {
 public:
  // One pass over the file. Throws InputError if it is missing or not regular.
  explicit LineIndex(std::filesystem::path path);
  ~LineIndex();
  LineIndex(LineIndex&& other) noexcept;
  LineIndex& operator=(LineIndex&&) = delete;

  const std::filesystem::path& path() const { return path_; }
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

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::vector<Gap> gaps_;
};

}  // namespace qloft::data
