#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "safetensors_header.h"

namespace qloft::io {

struct SafetensorsWriter::State {
  std::filesystem::path path;
  SafetensorsHeader header;
  std::unordered_map<std::string_view, std::size_t> index;
  std::uint64_t data_begin = 0;
  std::uint64_t data_bytes = 0;
  int descriptor = -1;

  ~State() {
    if (descriptor >= 0) ::close(descriptor);
  }
  void open(int flags) {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor < 0) throw SystemError({path, {}}, "cannot open for writing", errno);
  }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes, std::string_view field);
  void reserve();
  const TensorInfo& find(std::string_view name) const;
  bool holds(std::string_view expected) const;
};

void SafetensorsWriter::State::write_at(std::uint64_t offset, std::span<const std::byte> bytes,
                                        std::string_view field) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError({path, std::string(field)}, "cannot write", errno);
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

const TensorInfo& SafetensorsWriter::State::find(std::string_view name) const {
  const auto it = index.find(name);
  if (it == index.end()) throw Error({path, std::string(name)}, "this file has no such tensor");
  return header.tensors[it->second];
}

// Takes the whole file's room at once, so that a full disk is found before the work begins.
void SafetensorsWriter::State::reserve() {
  const auto size = static_cast<off_t>(data_begin + data_bytes);
  int result;
  do {
    result = ::fallocate(descriptor, 0, 0, size);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
    throw SystemError({path, {}}, "cannot reserve " + std::to_string(size) + " bytes", errno);
  }
  // A file system that cannot reserve: the size alone.
  if (::ftruncate(descriptor, size) != 0) {
    throw SystemError({path, {}}, "cannot set the file's size", errno);
  }
}

bool SafetensorsWriter::State::holds(std::string_view expected) const {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (static_cast<std::uint64_t>(status.st_size) != data_begin + data_bytes) return false;
  std::string found(expected.size(), '\0');
  std::size_t done = 0;
  while (done < found.size()) {
    const ssize_t got =
        ::pread(descriptor, found.data() + done, found.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError({path, {}}, "cannot read", errno);
    if (got == 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return found == expected;
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                                     std::map<std::string, std::string> metadata, Mode mode)
    : state_(std::make_unique<State>()) {
  state_->path = std::move(path);
  state_->data_bytes = assign_offsets(tensors, state_->path);
  state_->header = {std::move(tensors), std::move(metadata)};
  for (std::size_t i = 0; i < state_->header.tensors.size(); ++i) {
    state_->index.emplace(state_->header.tensors[i].name, i);
  }
  const std::string header = make_safetensors_header(state_->header);
  state_->data_begin = header.size();
  if (mode == Mode::reopen) {
    if (!std::filesystem::is_regular_file(state_->path)) {
      throw InputError({state_->path, {}}, "no such file");
    }
    state_->open(O_RDWR);
    if (!state_->holds(header)) {
      throw InputError({state_->path, "header"},
                       "expected the tensors of the interrupted run, found others");
    }
    return;
  }
  state_->open(O_RDWR | O_CREAT | O_TRUNC);
  state_->reserve();
  state_->write_at(0, std::as_bytes(std::span(header)), "header");
}

SafetensorsWriter::~SafetensorsWriter() = default;
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;

const std::filesystem::path& SafetensorsWriter::path() const {
  return state_->path;
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const TensorInfo& info = state_->find(name);
  if (bytes.size() != info.bytes()) {
    throw Error({state_->path, std::string(name)}, "expected " + std::to_string(info.bytes()) +
                                                       " bytes, found " +
                                                       std::to_string(bytes.size()));
  }
  write_at(name, 0, bytes);
}

void SafetensorsWriter::write_at(std::string_view name, std::uint64_t offset,
                                 std::span<const std::byte> bytes) {
  const TensorInfo& info = state_->find(name);
  if (offset > info.bytes() || bytes.size() > info.bytes() - offset) {
    throw Error({state_->path, std::string(name)}, "bytes beyond the end of this tensor");
  }
  state_->write_at(state_->data_begin + info.offset + offset, bytes, name);
}

void SafetensorsWriter::flush() {
  if (::fsync(state_->descriptor) != 0) {
    throw SystemError({state_->path, {}}, "cannot flush", errno);
  }
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  std::unordered_map<std::string_view, std::span<const std::byte>> bytes_of;
  for (const NamedBytes& tensor : tensors) {
    if (tensor.bytes.size() != tensor.info.bytes()) {
      throw Error({path, tensor.info.name}, "expected " + std::to_string(tensor.info.bytes()) +
                                                " bytes, found " +
                                                std::to_string(tensor.bytes.size()));
    }
    infos.push_back(tensor.info);
    bytes_of.emplace(tensor.info.name, tensor.bytes);
  }
  assign_offsets(infos, path);
  AtomicFile file(path);
  file.append(make_safetensors_header({infos, metadata}));
  for (const TensorInfo& info : infos) file.append(bytes_of.at(info.name));
  file.commit();
}

}  // namespace qloft::io
