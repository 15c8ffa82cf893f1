#include "qloft/core/large_pages.h"

#include <sys/mman.h>

#include <algorithm>

namespace qloft {
namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;

// Whole pages; a last one that would be less than half full is left to small pages.
std::size_t bytes_in_large_pages(std::size_t bytes) {
  return (bytes + kPage / 2) / kPage * kPage;
}

}  // namespace

void* allocate_in_large_pages(std::size_t bytes) {
  const std::size_t large = bytes_in_large_pages(bytes);
  if (large == 0) return ::operator new(bytes);
  void* const memory = ::operator new(std::max(bytes, large), std::align_val_t(kPage));
#if defined(MADV_HUGEPAGE)
  // Only advice: what the system makes of it does not matter.
  static_cast<void>(::madvise(memory, large, MADV_HUGEPAGE));
#endif
  return memory;
}

void free_large_pages(void* memory, std::size_t bytes) noexcept {
  if (bytes_in_large_pages(bytes) == 0) {
    ::operator delete(memory);
  } else {
    ::operator delete(memory, std::align_val_t(kPage));
  }
}

}  // namespace qloft
