#pragma once
// Memory of large containers in large pages, where the system has them: a matrix that is made and
// dropped costs a page fault for every 2 MiB in place of every 4 KiB.

#include <cstddef>
#include <limits>
#include <new>

namespace qloft {

// Throws std::bad_alloc.
void* allocate_in_large_pages(std::size_t bytes);
void free_large_pages(void* memory, std::size_t bytes) noexcept;

// For standard containers.
template <typename T>
struct LargePageAllocator {
  using value_type = T;
  LargePageAllocator() = default;
  template <typename U>
  LargePageAllocator(const LargePageAllocator<U>&) {}

  T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
      throw std::bad_array_new_length();
    }
    return static_cast<T*>(allocate_in_large_pages(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    free_large_pages(memory, count * sizeof(T));
  }
  bool operator==(const LargePageAllocator&) const { return true; }
};

}  // namespace qloft
