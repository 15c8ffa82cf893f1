#pragma once
// Between torch tensors and core's matrix views.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "qloft/core/matrix.h"

namespace qloft::backend {

// A contiguous f32 CPU tensor as [numel / columns, columns].
inline MatrixView<float> matrix_of(const at::Tensor& tensor) {
  const std::int64_t columns = tensor.size(-1);
  return {tensor.data_ptr<float>(), columns == 0 ? 0 : tensor.numel() / columns, columns};
}

// `tensor` as a contiguous f32 one: itself where it is that already.
inline at::Tensor as_f32(const at::Tensor& tensor) {
  return tensor.to(at::kFloat).contiguous();
}

// An autograd function takes a tensor that may be undefined as an optional one.
using MaybeTensor = std::optional<at::Tensor>;
inline MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

}  // namespace qloft::backend
