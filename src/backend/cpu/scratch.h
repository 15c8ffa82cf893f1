#pragma once
#include <cstdint>

#include "qloft/core/element.h"

namespace qloft::backend {

// Memory of at least `count` floats, from a cache line on, that the calling thread keeps and
// reuses; what it held is lost. One buffer a slot, so that a caller may use several at once.
enum class Scratch : std::uint8_t {
  weight_tile,
  weight_panels,
  activations,
  scores,
  gradient,
  query,
  key,
  value,
  output,
  count
};
float* scratch(Scratch slot, std::int64_t count);
// The same of `count` bf16 values.
inline BFloat16* bf16_scratch(Scratch slot, std::int64_t count) {
  return reinterpret_cast<BFloat16*>(scratch(slot, (count + 1) / 2));
}

}  // namespace qloft::backend
