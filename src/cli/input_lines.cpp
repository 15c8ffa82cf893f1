#include "input_lines.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "qloft/core/error.h"

namespace qloft::cli {

bool InputLines::next(std::string& line, const Progress& progress) {
  constexpr int kLookEvery = 200;  // milliseconds: the signal may come just before the wait
  for (;;) {
    if (progress.stop_requested()) return false;
    const std::size_t end = buffer_.find('\n', searched_);
    searched_ = buffer_.size();
    if (end != std::string::npos || ended_) {
      if (end == std::string::npos && buffer_.empty()) return false;
      line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? buffer_.size() : end + 1);
      searched_ = 0;
      return true;
    }
    if (buffer_.size() > kMostBytes) {
      throw InputError(
          {"standard input", {}},
          "expected lines of up to " + std::to_string(kMostBytes) + " bytes, found a longer one");
    }
    pollfd wait = {descriptor_, POLLIN, 0};
    if (::poll(&wait, 1, kLookEvery) <= 0) continue;
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(descriptor_, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) throw SystemError({"standard input", {}}, "cannot read", errno);
    ended_ = got == 0;
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace qloft::cli
