#include "json_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;

void append_lines(const fs::path& file, const std::string& lines) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw SystemError({file, {}}, "cannot open for writing", errno);
  std::string_view rest = lines;
  int error = 0;
  while (!rest.empty() && error == 0) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(descriptor) != 0) error = errno;
  ::close(descriptor);
  if (error != 0) throw SystemError({file, {}}, "cannot write", error);
}

std::vector<io::Json> read_lines(const fs::path& file) {
  std::vector<io::Json> out;
  std::error_code error;
  if (!fs::exists(file, error)) return out;
  const std::string text = read_file(file);
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    io::Json line = io::Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (line.is_object()) out.push_back(std::move(line));
  }
  // The next line must not grow from a torn one.
  if (begin < text.size()) append_lines(file, "\n");
  return out;
}

}  // namespace qloft::pipeline
