#pragma once
// Where a target's bytes stand while a reader of files reads them.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "temporary_folder.h"

namespace qloft::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A file without a name, in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : file_(::memfd_create("input", MFD_CLOEXEC)) {
    const ssize_t written = ::write(file_, content.data(), content.size());
    if (written != static_cast<ssize_t>(content.size())) std::abort();
  }
  ~MemoryFile() { ::close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

// A folder that goes with the program.
class Folder {
 public:
  const std::filesystem::path& path() const { return folder_.path(); }
  void write(const char* name, std::string_view content) const {
    std::ofstream file(path() / name, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!file.flush()) std::abort();
  }

 private:
  test::TemporaryFolder folder_;
};

// A tokenizer.json of a few tokens.
inline constexpr std::string_view kTokenizer = R"({
  "version": "1.0",
  "added_tokens": [{"id": 0, "content": "<s>", "special": true},
                   {"id": 1, "content": "</s>", "special": true}],
  "model": {"type": "BPE", "unk_token": "?", "byte_fallback": true, "merges": [["a", "b"]],
            "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4, " ": 5, "?": 6, "\n": 7}}})";

}  // namespace qloft::fuzz
