#include "qloft/backend/tensor_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <cstring>

#include "qloft/core/block_pool.h"

namespace qloft::backend {
namespace {

// Smaller ones are the heap's, which keeps them as well (src/main.cpp): held here, too, they tear
// holes into it.
constexpr std::size_t kLeastBytes = 4 << 20;

// Lives as long as the process: tensors of static storage are freed after main().
BlockPool& pool() {
  static auto* const pool = new BlockPool({c10::alloc_cpu, c10::free_cpu});
  return *pool;
}

void free_small(void* memory) {
  c10::free_cpu(memory);
}
void free_large(void* memory) {
  pool().give_back(memory);
}
void free_any(void* memory) {
  if (!pool().give_back(memory)) c10::free_cpu(memory);
}

class PooledAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const bool large = bytes >= kLeastBytes;
    void* memory = large ? pool().take(bytes) : c10::alloc_cpu(bytes);
    return {memory, memory, large ? &free_large : &free_small, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

}  // namespace

void keep_freed_tensors() {
  static PooledAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

void return_freed_tensors() {
  pool().release();
}

}  // namespace qloft::backend
