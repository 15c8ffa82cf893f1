#pragma once
// An open data file, read at any offset from many threads.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace qloft::data {

class SourceFile {
 public:
  // Throws InputError if it is missing or not regular.
  explicit SourceFile(std::filesystem::path path);
  ~SourceFile();
  SourceFile(SourceFile&& other) noexcept;
  SourceFile& operator=(SourceFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // At most `size` bytes at `offset`; 0 only at the end of the file.
  std::size_t read(std::uint64_t offset, char* out, std::size_t size) const;
  // The bytes [begin, end), or those before the first newline in them. Throws InputError where the
  // file has become shorter.
  std::string text(std::uint64_t begin, std::uint64_t end) const;
  std::string line(std::uint64_t begin, std::uint64_t end) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace qloft::data
