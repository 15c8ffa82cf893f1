#include "log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::train {

LogFile::LogFile(std::filesystem::path path, Mode mode) : path_(std::move(path)) {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  descriptor_ = ::open(path_.c_str(), flags | (mode == Mode::create_new ? O_EXCL : 0), 0644);
  if (descriptor_ >= 0) return;
  if (errno == EEXIST) throw InputError({path_, {}}, "exists already");
  throw SystemError({path_, {}}, "cannot create", errno);
}

LogFile::~LogFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LogFile::LogFile(LogFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

void LogFile::append(std::string_view record) {
  while (!record.empty()) {
    const ssize_t written = ::write(descriptor_, record.data(), record.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError({path_, {}}, "cannot write", errno);
    }
    record.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace qloft::train
