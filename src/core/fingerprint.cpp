#include "qloft/core/fingerprint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/open_error.h"
#include "qloft/core/threads.h"

namespace qloft {
namespace {

constexpr std::int64_t kChunk = 8 << 20;
// Bytes that are read at a time, to be hashed while they are in the cache.
constexpr std::size_t kPiece = 256 << 10;

// Of a chunk that comes piece by piece. Several words at a time, so that the processor has
// independent products to make. The rest of the bytes are filled up with zeros.
class ChunkHash {
 public:
  // All pieces but the last are whole numbers of the words at a time.
  void add(std::span<const std::byte> bytes) {
    std::array<std::uint64_t, kLanes> lanes = lanes_, words{};
    for (std::size_t at = 0; at < bytes.size(); at += sizeof words) {
      if (bytes.size() - at < sizeof words) words = {};
      std::memcpy(words.data(), bytes.data() + at, std::min(sizeof words, bytes.size() - at));
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = mix(lanes[i], words[i]);
    }
    lanes_ = lanes;
    size_ += bytes.size();
  }
  std::uint64_t value() const {
    std::uint64_t hash = size_;
    for (const std::uint64_t lane : lanes_) hash = mix(hash, lane);
    return hash;
  }

 private:
  static constexpr std::size_t kLanes = 4;
  std::array<std::uint64_t, kLanes> lanes_ = {1, 2, 3, 4};
  std::uint64_t size_ = 0;
};

struct FileToHash {
  int value;
  ~FileToHash() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

std::uint64_t mix(std::uint64_t hash, std::span<const std::byte> bytes) {
  hash = mix(hash, bytes.size());
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<std::size_t>(8, bytes.size() - i));
    hash = mix(hash, word);
  }
  return hash;
}

std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  return mix(hash, std::as_bytes(std::span(text)));
}

std::string hex(std::uint64_t hash) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(hash >> shift) & 15];
  return text;
}

std::uint64_t fingerprint_of_file(const std::filesystem::path& path) {
  const FileToHash file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) refuse_to_open(path, errno);
  struct stat status {};
  if (::fstat(file.value, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw InputError({path, {}}, "expected a regular file");
  }
  const std::int64_t size = status.st_size;
  std::vector<std::uint64_t> hashes(static_cast<std::size_t>((size + kChunk - 1) / kChunk));
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::byte> bytes(std::min(kPiece, static_cast<std::size_t>(end - begin)));
    ChunkHash hash;
    for (std::int64_t at = begin; at < end;) {
      const auto left = static_cast<std::size_t>(end - at);
      const std::span<std::byte> piece(bytes.data(), std::min(bytes.size(), left));
      for (std::size_t done = 0; done < piece.size();) {
        const ssize_t count = ::pread(file.value, piece.data() + done, piece.size() - done,
                                      at + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw SystemError({path, {}}, "cannot read", errno);
        if (count == 0) throw InputError({path, {}}, "became shorter while it was read");
        done += static_cast<std::size_t>(count);
      }
      hash.add(piece);
      at += static_cast<std::int64_t>(piece.size());
    }
    hashes[static_cast<std::size_t>(begin / kChunk)] = hash.value();
  });
  std::uint64_t hash = static_cast<std::uint64_t>(size);
  for (const std::uint64_t one : hashes) hash = mix(hash, one);
  return hash;
}

}  // namespace qloft
