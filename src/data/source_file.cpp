#include "source_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/open_error.h"

namespace qloft::data {
namespace {

constexpr std::size_t kFirstRead = 4096;

}  // namespace

SourceFile::SourceFile(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: a named pipe without a writer must not hang the program before it is refused.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) refuse_to_open(path_, errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw InputError({path_, {}}, "expected a regular file");
  }
}

SourceFile::~SourceFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

SourceFile::SourceFile(SourceFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::size_t SourceFile::read(std::uint64_t offset, char* out, std::size_t size) const {
  for (;;) {
    const ssize_t got = ::pread(descriptor_, out, size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) throw SystemError({path_, {}}, "cannot read", errno);
  }
}

std::string SourceFile::text(std::uint64_t begin, std::uint64_t end) const {
  std::string text(static_cast<std::size_t>(end - begin), '\0');
  for (std::size_t done = 0; done < text.size();) {
    const std::size_t got = read(begin + done, text.data() + done, text.size() - done);
    if (got == 0) throw InputError({path_, {}}, "the file became shorter while it was read");
    done += got;
  }
  return text;
}

std::string SourceFile::line(std::uint64_t begin, std::uint64_t end) const {
  std::string line;
  std::size_t want = kFirstRead;
  while (line.size() < end - begin) {
    const std::size_t done = line.size();
    line += text(begin + done, begin + done + std::min<std::uint64_t>(want, end - begin - done));
    const std::size_t newline = line.find('\n', done);
    if (newline != std::string::npos) {
      line.resize(newline);
      break;
    }
    want = std::max(want, line.size());
  }
  return line;
}

}  // namespace qloft::data
