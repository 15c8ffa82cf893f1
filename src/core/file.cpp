#include "qloft/core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "qloft/core/error.h"

namespace qloft {
namespace fs = std::filesystem;
namespace {

// What is read as a whole: texts, above all.
constexpr off_t kMostBytes = off_t{1} << 32;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value() const { return value_; }

 private:
  int value_;
};

fs::path folder_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void rename_whole(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw SystemError({to, {}}, "cannot rename into place", error.value());
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  temporary_ = path_;
  temporary_ += ".tmp" + std::to_string(::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw SystemError({path_, {}}, "cannot create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError({path_, {}}, "cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::append(std::string_view text) {
  append(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw SystemError({path_, {}}, "cannot flush", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) {
    ::unlink(temporary_.c_str());
    throw SystemError({path_, {}}, "cannot close", errno);
  }
  rename_whole(temporary_, path_);
  flush_to_disk(folder_of(path_));
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.append(content);
  file.commit();
}

std::string read_file(const fs::path& path) {
  // O_NONBLOCK: a named pipe must be refused, not waited for.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (file.value() < 0) {
    throw InputError({path, {}}, errno == ENOENT ? "no such file" : "cannot be opened");
  }
  struct stat status {};
  if (::fstat(file.value(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw InputError({path, {}}, "expected a regular file");
  }
  if (status.st_size > kMostBytes) {
    throw InputError({path, {}}, "expected at most " + std::to_string(kMostBytes) +
                                     " bytes, found " + std::to_string(status.st_size));
  }
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::read(file.value(), content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError({path, {}}, "cannot read", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  content.resize(done);
  return content;
}

void copy_file_whole(const fs::path& from, const fs::path& to) {
  const Descriptor source(from, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (source.value() < 0) throw InputError({from, {}}, "cannot be opened");
  if (::fstat(source.value(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw InputError({from, {}}, "expected a regular file");
  }
  AtomicFile file(to);
  std::string buffer(std::size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t got = ::read(source.value(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError({from, {}}, "cannot read", errno);
    if (got == 0) break;
    file.append(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
  file.commit();
}

void expect_replaceable_folder(const fs::path& target, bool overwrite) {
  std::error_code error;
  if (overwrite || !fs::exists(target, error)) return;
  if (!fs::is_directory(target)) throw InputError({target, {}}, "exists and is not a folder");
  if (!fs::is_empty(target)) {
    throw InputError({target, {}}, "the output folder is not empty (--overwrite replaces it)");
  }
}

StagedFolder::StagedFolder(fs::path target, bool overwrite) : target_(std::move(target)) {
  if (target_.filename().empty()) target_ = target_.parent_path();
  expect_replaceable_folder(target_, overwrite);
  std::error_code error;
  staging_ = target_;
  staging_ += ".partial";
  fs::create_directories(staging_, error);
  if (error) throw SystemError({staging_, {}}, "cannot create the folder", error.value());
}

void StagedFolder::start_afresh() {
  std::error_code error;
  fs::remove_all(staging_, error);
  if (!error) fs::create_directories(staging_, error);
  if (error) throw SystemError({staging_, {}}, "cannot empty the folder", error.value());
}

void StagedFolder::commit() {
  flush_to_disk(staging_);
  fs::path old = target_;
  old += ".old";
  std::error_code error;
  fs::remove_all(old, error);
  const bool replaces = fs::exists(target_);
  if (replaces) rename_whole(target_, old);
  rename_whole(staging_, target_);
  flush_to_disk(folder_of(target_));
  if (replaces) fs::remove_all(old, error);
}

void flush_to_disk(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (file.value() < 0) throw SystemError({path, {}}, "cannot be opened", errno);
  // Some file systems cannot flush a folder (EINVAL); the rename is then as safe as they make it.
  if (::fsync(file.value()) != 0 && errno != EINVAL) {
    throw SystemError({path, {}}, "cannot flush", errno);
  }
}

}  // namespace qloft
