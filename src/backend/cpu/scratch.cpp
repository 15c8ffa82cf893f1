#include "scratch.h"

#include <array>
#include <cstddef>
#include <memory>

namespace qloft::backend {
namespace {

struct Buffer {
  std::unique_ptr<float[]> data;
  std::int64_t size = 0;
};

}  // namespace

float* scratch(Scratch slot, std::int64_t count) {
  thread_local std::array<Buffer, static_cast<std::size_t>(Scratch::count)> buffers;
  Buffer& buffer = buffers[static_cast<std::size_t>(slot)];
  if (buffer.size < count) {
    buffer.data.reset();
    buffer.data = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(count));
    buffer.size = count;
  }
  return buffer.data.get();
}

}  // namespace qloft::backend
