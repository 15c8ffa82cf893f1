#pragma once
// Files that appear whole or not at all: written beside, flushed to the disk, renamed.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qloft {

// An output file under a temporary name next to `path`. commit() flushes and renames it; without
// commit() the destructor removes it. All members throw SystemError naming the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
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
};

void write_file(const std::filesystem::path& path, std::string_view content);

// The whole file. Throws InputError if it is missing or not a regular file.
std::string read_file(const std::filesystem::path& path);

// Copies through an AtomicFile.
void copy_file_whole(const std::filesystem::path& from, const std::filesystem::path& to);

// Throws InputError when `target` exists and is not an empty folder, unless `overwrite`.
void expect_replaceable_folder(const std::filesystem::path& target, bool overwrite);

// An output folder that is built under `target` + ".partial" and renamed to `target` at commit(),
// so that `target` is never seen half-written. A ".partial" folder that is found is taken up again:
// its files stay, for work that resumes.
class StagedFolder {
 public:
  // Throws as expect_replaceable_folder.
  StagedFolder(std::filesystem::path target, bool overwrite);

  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& target() const { return target_; }
  // Removes all that a former run left in the ".partial" folder.
  void start_afresh();
  // Replaces `target`; what stood there is removed only after the new folder is in place.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
};

// Flushes a file's, or a folder's, content to the disk.
void flush_to_disk(const std::filesystem::path& path);

}  // namespace qloft
