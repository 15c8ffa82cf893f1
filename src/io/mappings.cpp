#include "mappings.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "qloft/io/mapping.h"

namespace qloft::io {
namespace {

struct Mapping {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<std::size_t> size{0};
  std::atomic<char*> path{nullptr};  // nullptr: the place is free
};

std::array<Mapping, 512> mappings;
std::mutex writers;

}  // namespace

void remember_mapping(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  if (bytes.empty()) return;
  const std::scoped_lock lock(writers);
  for (Mapping& mapping : mappings) {
    if (mapping.path != nullptr) continue;
    mapping.begin = bytes.data();
    mapping.size = bytes.size();
    mapping.path = ::strdup(path.c_str());
    return;
  }
}

void forget_mapping(std::span<const std::byte> bytes) {
  const std::scoped_lock lock(writers);
  for (Mapping& mapping : mappings) {
    if (mapping.path == nullptr || mapping.begin != bytes.data()) continue;
    mapping.size = 0;
    std::free(mapping.path.exchange(nullptr));
    return;
  }
}

const char* mapped_file_at(const void* address) noexcept {
  const auto* const at = static_cast<const std::byte*>(address);
  for (const Mapping& mapping : mappings) {
    const char* const path = mapping.path;
    const std::byte* const begin = mapping.begin;
    if (path != nullptr && at >= begin && at < begin + mapping.size) return path;
  }
  return nullptr;
}

}  // namespace qloft::io
