#include "line_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::data {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::size_t kFirstRead = 4096;

// Reads at most out.size() bytes at `offset`; 0 only at the end of the file.
std::size_t read_at(int descriptor, std::uint64_t offset, char* out, std::size_t size,
                    const std::filesystem::path& path) {
  for (;;) {
    const ssize_t got = ::pread(descriptor, out, size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) throw SystemError({path, {}}, "cannot read", errno);
  }
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

}  // namespace

LineIndex::LineIndex(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: a named pipe without a writer must not hang the program before it is refused.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    if (errno == EMFILE || errno == ENFILE) throw SystemError({path_, {}}, "cannot open", errno);
    throw InputError({path_, {}}, errno == ENOENT ? "no such file" : "cannot be opened");
  }
  try {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      throw InputError({path_, {}}, "expected a regular file");
    }
    scan();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

LineIndex::~LineIndex() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LineIndex::LineIndex(LineIndex&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      offsets_(std::move(other.offsets_)),
      gaps_(std::move(other.gaps_)) {}

void LineIndex::scan() {
  std::string block(kBlock, '\0');
  std::uint64_t line_start = 0;
  std::int64_t blank_lines = 0;
  bool blank = true;    // nothing but spaces since line_start
  bool counted = true;  // every blank line so far stands in gaps_
  const auto add_line = [&] {
    if (!counted) gaps_.push_back({size(), blank_lines});
    counted = true;
    offsets_.push_back(line_start);
  };
  for (;;) {
    const std::size_t got = read_at(descriptor_, bytes_, block.data(), block.size(), path_);
    if (got == 0) break;
    const std::string_view text(block.data(), got);
    std::size_t at = bytes_ == 0 && text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    if (at != 0) line_start = at;
    while (at < got) {
      const std::size_t end = std::min(text.find('\n', at), got);
      if (blank && !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at),
                                text.begin() + static_cast<std::ptrdiff_t>(end), is_blank)) {
        blank = false;
        add_line();
      }
      if (end == got) break;
      if (blank) {
        ++blank_lines;
        counted = false;
      }
      blank = true;
      at = end + 1;
      line_start = bytes_ + at;
    }
    bytes_ += got;
  }
  offsets_.shrink_to_fit();
}

std::string LineIndex::line(std::int64_t index) const {
  const std::uint64_t begin = offsets_[static_cast<std::size_t>(index)];
  const std::uint64_t end =
      index + 1 < size() ? offsets_[static_cast<std::size_t>(index) + 1] : bytes_;
  std::string text;
  std::size_t want = kFirstRead;
  while (text.size() < end - begin) {
    const std::size_t done = text.size();
    text.resize(done + static_cast<std::size_t>(std::min<std::uint64_t>(want, end - begin - done)));
    const std::size_t got =
        read_at(descriptor_, begin + done, text.data() + done, text.size() - done, path_);
    if (got == 0) throw InputError({path_, {}}, "the file became shorter while it was read");
    text.resize(done + got);
    const std::size_t newline = text.find('\n', done);
    if (newline != std::string::npos) {
      text.resize(newline);
      break;
    }
    want = std::max(want, text.size());
  }
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

std::int64_t LineIndex::line_number(std::int64_t index) const {
  const auto after =
      std::upper_bound(gaps_.begin(), gaps_.end(), index,
                       [](std::int64_t value, const Gap& gap) { return value < gap.index; });
  return index + 1 + (after == gaps_.begin() ? 0 : std::prev(after)->blank_before);
}

}  // namespace qloft::data
