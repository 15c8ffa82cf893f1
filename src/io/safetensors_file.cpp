#include <cstring>

#include "qloft/core/checked.h"
#include "qloft/core/error.h"
#include "qloft/io.h"
#include "safetensors_header.h"

namespace qloft::io {

std::int64_t TensorInfo::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count = checked_multiply(count, extent, name);
  return count;
}

std::uint64_t TensorInfo::bytes() const {
  return checked_multiply(static_cast<std::uint64_t>(element_count()),
                          static_cast<std::uint64_t>(byte_size(type)), name);
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : file_(std::move(path)) {
  const std::span<const std::byte> bytes = file_.bytes();
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    throw InputError({file_.path(), "header"},
                     "expected at least 8 bytes, found " + std::to_string(bytes.size()));
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  const std::uint64_t rest = bytes.size() - sizeof length;
  if (length > kMaximumHeaderBytes) {
    throw InputError({file_.path(), "header"}, "expected a length of at most " +
                                                   std::to_string(kMaximumHeaderBytes) +
                                                   " bytes, found " + std::to_string(length) +
                                                   " (is this a safetensors file?)");
  }
  if (length > rest) {
    throw InputError({file_.path(), "header"}, "expected " + std::to_string(length) +
                                                   " bytes, found " + std::to_string(rest) +
                                                   " before the file ends (is it truncated?)");
  }
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + sizeof length,
                              static_cast<std::size_t>(length));
  data_ = bytes.subspan(sizeof length + static_cast<std::size_t>(length));
  SafetensorsHeader header = parse_safetensors_header(json, data_.size(), file_.path());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const {
  return data_.subspan(static_cast<std::size_t>(tensor.offset),
                       static_cast<std::size_t>(tensor.bytes()));
}

void SafetensorsFile::drop(const TensorInfo& tensor) const {
  file_.drop(bytes(tensor));
}

}  // namespace qloft::io
