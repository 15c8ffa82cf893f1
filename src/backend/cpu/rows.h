#pragma once
// Loops over the rows of f32 or bf16 CPU tensors on core's threads, computed in f32.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "qloft/core/threads.h"
#include "qloft/kernels.h"

namespace qloft::backend {

// Room for rows of bf16 tensors as f32; one object a thread and call.
class RowBuffers {
 public:
  float* a(std::int64_t n) { return sized(0, n); }
  float* b(std::int64_t n) { return sized(1, n); }
  float* c(std::int64_t n) { return sized(2, n); }
  float* d(std::int64_t n) { return sized(3, n); }
  float* e(std::int64_t n) { return sized(4, n); }

 private:
  float* sized(std::size_t i, std::int64_t n) {
    if (std::ssize(buffers_[i]) < n) buffers_[i].resize(static_cast<std::size_t>(n));
    return buffers_[i].data();
  }
  std::vector<float> buffers_[5];
};

// body(row, buffers) for each row of `n` elements.
template <typename Body>
void for_rows(std::int64_t rows, std::int64_t n, const Body& body) {
  constexpr std::int64_t kElementsAtOnce = 1 << 15;
  const std::int64_t grain =
      std::max<std::int64_t>(1, kElementsAtOnce / std::max<std::int64_t>(1, n));
  parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    RowBuffers buffers;
    for (std::int64_t row = begin; row < end; ++row) body(row, buffers);
  });
}

// `n` elements from element index * n on as f32: in place, or through `buffer`.
inline const float* read_row(const at::Tensor& tensor, std::int64_t index, std::int64_t n,
                             float* buffer) {
  if (tensor.scalar_type() == at::kFloat) return tensor.data_ptr<float>() + index * n;
  const auto* from = reinterpret_cast<const BFloat16*>(tensor.data_ptr<at::BFloat16>());
  kernels::table().bf16_to_f32(from + index * n, n, buffer);
  return buffer;
}

// Where to compute the row: in place, or `buffer`, which write_row then stores.
inline float* row_to_write(const at::Tensor& tensor, std::int64_t index, std::int64_t n,
                           float* buffer) {
  return tensor.scalar_type() == at::kFloat ? tensor.data_ptr<float>() + index * n : buffer;
}
inline void write_row(const at::Tensor& tensor, std::int64_t index, std::int64_t n,
                      const float* values) {
  if (tensor.scalar_type() == at::kFloat) return;
  auto* to = reinterpret_cast<BFloat16*>(tensor.data_ptr<at::BFloat16>());
  kernels::table().f32_to_bf16(values, n, to + index * n);
}

}  // namespace qloft::backend
