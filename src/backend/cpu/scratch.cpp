#include "scratch.h"

#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace qloft::backend {
namespace {

// Buffers begin at a cache line.
constexpr std::align_val_t kLine{64};
struct Free {
  void operator()(float* data) const { ::operator delete(data, kLine); }
};

struct Buffer {
  std::unique_ptr<float, Free> data;
  std::int64_t size = 0;
};

}  // namespace

float* scratch(Scratch slot, std::int64_t count) {
  thread_local std::array<Buffer, static_cast<std::size_t>(Scratch::count)> buffers;
  Buffer& buffer = buffers[static_cast<std::size_t>(slot)];
  if (buffer.size < count) {
    buffer.size = 0;
    buffer.data.reset();
    const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
    buffer.data.reset(static_cast<float*>(::operator new(bytes, kLine)));
    buffer.size = count;
  }
  return buffer.data.get();
}

}  // namespace qloft::backend
