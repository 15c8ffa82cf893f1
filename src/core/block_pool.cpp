#include "qloft/core/block_pool.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace qloft {
namespace {

constexpr std::size_t kBlockPage = 4096;

std::size_t whole_pages(std::size_t bytes) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() - kBlockPage;
  if (bytes > kMost) return bytes;  // which no source has
  return (bytes + kBlockPage - 1) / kBlockPage * kBlockPage;
}

}  // namespace

void* BlockPool::take(std::size_t bytes) {
  bytes = whole_pages(bytes);
  const std::lock_guard lock(mutex_);
  if (void* block = reuse(bytes)) return block;
  const std::size_t used = used_bytes_ + bytes;
  free_down_to(std::max(most_used_bytes_, used) - used);
  void* block = nullptr;
  try {
    block = source_.allocate(bytes);
  } catch (...) {
    if (free_bytes_ == 0) throw;
    free_down_to(0);
    block = source_.allocate(bytes);
  }
  used_.emplace(block, bytes);
  used_bytes_ = used;
  most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  return block;
}

bool BlockPool::give_back(void* block) {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(block);
  if (found == used_.end()) return false;
  free_.emplace(found->second, block);
  used_bytes_ -= found->second;
  free_bytes_ += found->second;
  used_.erase(found);
  return true;
}

void BlockPool::release() {
  const std::lock_guard lock(mutex_);
  free_down_to(0);
  most_used_bytes_ = used_bytes_;
}

std::size_t BlockPool::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

std::size_t BlockPool::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_bytes_;
}

void* BlockPool::reuse(std::size_t bytes) {
  const auto found = free_.lower_bound(bytes);
  if (found == free_.end() || found->first > bytes + bytes / 8) return nullptr;
  const auto [size, block] = *found;
  used_.emplace(block, size);
  free_.erase(found);
  free_bytes_ -= size;
  used_bytes_ += size;
  most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  return block;
}

// The largest first: fewest calls of the system.
void BlockPool::free_down_to(std::size_t bytes) {
  while (free_bytes_ > bytes) {
    const auto largest = std::prev(free_.end());
    source_.free(largest->second);
    free_bytes_ -= largest->first;
    free_.erase(largest);
  }
}

}  // namespace qloft
