#pragma once
// Files that appear whole or not at all: written beside, flushed to the disk, renamed. Only one
// process at a time writes each.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qloft {

// A file that one process at a time has. It stays where it is when the lock ends, which it does
// with its process at the latest.
class FileLock {
 public:
  // Makes the file where there is none. Throws Error naming `output` and who has it, where another
  // process does, and SystemError where it cannot be made. Without locks, as on some network file
  // systems, it holds nobody off.
  FileLock(const std::filesystem::path& file, const std::filesystem::path& output);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Writes who has it: the name of the work and this process.
  void sign(std::string_view work);

 private:
  std::filesystem::path output_;
  int descriptor_ = -1;
};

// The work that signed a lock last; empty: none did.
std::string signature(const std::filesystem::path& lock);

// What is appended to a file's name while AtomicFile writes it. One that a killed process left is
// written over.
inline constexpr std::string_view kUnfinished = ".qloft-tmp";

// An output file under another name next to `path`, which one process at a time has. commit()
// flushes and renames it; without commit() the destructor removes it. All members throw SystemError
// naming the file, the constructor as FileLock does.
class AtomicFile {
 public:
  // `work`: who has it, where that is for long.
  explicit AtomicFile(std::filesystem::path path, std::string_view work = {});
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  bool signed_ = false;  // until it is written to
};

void write_file(const std::filesystem::path& path, std::string_view content);

// Makes the file where there is none. The text is on the disk when it returns. Throws SystemError;
// for a symbolic link, too.
void append_to_disk(const std::filesystem::path& path, std::string_view text);

// The whole file. Throws InputError if it is missing or not a regular file.
std::string read_file(const std::filesystem::path& path);

// Copies through an AtomicFile.
void copy_file_whole(const std::filesystem::path& from, const std::filesystem::path& to);

// As those of std::filesystem, but throw SystemError. Renaming replaces a file that is there.
void make_folders(const std::filesystem::path& path);
void rename_whole(const std::filesystem::path& from, const std::filesystem::path& to);
void remove_whole(const std::filesystem::path& path);

// Flushes a file's, or a folder's, content to the disk.
void flush_to_disk(const std::filesystem::path& path);

}  // namespace qloft
