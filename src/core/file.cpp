#include "qloft/core/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/open_error.h"

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

// A name that cannot be is the caller's mistake, not the machine's.
[[noreturn]] void refuse_to_create(const fs::path& path, const char* message, int error_number) {
  if (error_number == ENAMETOOLONG || error_number == ELOOP) {
    throw InputError({path, {}},
                     std::string(message) + ": " + std::generic_category().message(error_number));
  }
  throw SystemError({path, {}}, message, error_number);
}

constexpr std::size_t kSignatureBytes = 64;

std::string first_line(int descriptor) {
  std::string text(kSignatureBytes, '\0');
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  text.resize(std::min(text.size(), text.find('\n')));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

void empty(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && status.st_size == 0) return;
  if (::ftruncate(descriptor, 0) != 0) throw SystemError({path, {}}, "cannot empty", errno);
}

// At least as long as what another one wrote, so that a lock is never without a name.
void write_signature(int descriptor, std::string_view work, const fs::path& output) {
  std::string text = std::string(work) + ", process " + std::to_string(::getpid());
  text.resize(std::max(text.size(), kSignatureBytes - 1), ' ');
  text += '\n';
  if (::pwrite(descriptor, text.data(), text.size(), 0) < 0) {
    throw SystemError({output, {}}, "cannot write", errno);
  }
}

bool is_regular(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

// A link, a folder, a socket or a device.
bool is_in_the_way(const fs::path& file) {
  struct stat status {};
  return ::lstat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
}

// The descriptor of `file` holds its lock.
int open_locked(const fs::path& file, const fs::path& output) {
  for (;;) {
    const int descriptor =
        ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    const int refusal = errno;
    if (descriptor < 0 ? is_in_the_way(file) : !is_regular(descriptor)) {
      if (descriptor >= 0) ::close(descriptor);
      throw InputError({file, {}}, "expected a regular file or none");
    }
    if (descriptor < 0) refuse_to_create(output, "cannot create", refusal);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      const std::string holder = first_line(descriptor);
      ::close(descriptor);
      throw Error({output, {}}, "is being written by " +
                                    (holder.empty() ? "another process" : "qloft " + holder));
    }
    // Between the two calls its holder may have renamed or removed it.
    struct stat mine {
    }, there{};
    if (::fstat(descriptor, &mine) == 0 && ::stat(file.c_str(), &there) == 0 &&
        mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
      return descriptor;
    }
    ::close(descriptor);
  }
}

}  // namespace

FileLock::FileLock(const fs::path& file, const fs::path& output)
    : output_(output), descriptor_(open_locked(file, output)) {}

FileLock::FileLock(FileLock&& other) noexcept
    : output_(std::move(other.output_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileLock::sign(std::string_view work) {
  write_signature(descriptor_, work, output_);
}

std::string signature(const fs::path& lock) {
  const Descriptor file(lock, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  const std::string text =
      file.value() >= 0 && is_regular(file.value()) ? first_line(file.value()) : "";
  return text.substr(0, text.find(','));
}

AtomicFile::AtomicFile(fs::path path, std::string_view work)
    : path_(std::move(path)), signed_(!work.empty()) {
  temporary_ = path_;
  temporary_ += kUnfinished;
  descriptor_ = open_locked(temporary_, path_);
  try {
    if (signed_) write_signature(descriptor_, work, path_);
    if (!signed_) empty(descriptor_, path_);
  } catch (...) {
    ::unlink(temporary_.c_str());
    ::close(descriptor_);
    throw;
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  if (std::exchange(signed_, false)) empty(descriptor_, path_);
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
  rename_whole(temporary_, path_);
  ::close(descriptor_);
  descriptor_ = -1;
  flush_to_disk(folder_of(path_));
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.append(content);
  file.commit();
}

void append_to_disk(const fs::path& path, std::string_view text) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) throw SystemError({path, {}}, "cannot open for writing", errno);
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(descriptor) != 0) error = errno;
  ::close(descriptor);
  if (error != 0) throw SystemError({path, {}}, "cannot write", error);
}

void refuse_to_open(const fs::path& path, int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      throw InputError({path, {}}, "no such file");
    case ENXIO:  // a socket, or a device that is not there
      throw InputError({path, {}}, "expected a regular file");
    case ELOOP:
      throw InputError({path, {}}, "expected a file, found links in a circle");
    case ENAMETOOLONG:
      throw InputError({path, {}}, "expected the name of a file, found a longer one than there is");
    default:
      throw SystemError({path, {}}, "cannot be opened", error_number);
  }
}

std::string read_file(const fs::path& path) {
  // O_NONBLOCK: a named pipe must be refused, not waited for.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (file.value() < 0) refuse_to_open(path, errno);
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
  if (source.value() < 0) refuse_to_open(from, errno);
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

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) refuse_to_create(path, "cannot create the folder", error.value());
}

void rename_whole(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw SystemError({to, {}}, "cannot rename into place", error.value());
}

void remove_whole(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw SystemError({path, {}}, "cannot remove", error.value());
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
