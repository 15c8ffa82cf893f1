#pragma once
// Between torch tensors and core's matrix views.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "qloft/core/matrix.h"

namespace qloft::model {

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

// Memory of at least `count` floats that the calling thread keeps and reuses; what it held is lost.
// One buffer a slot, so that a caller may use several at once.
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

}  // namespace qloft::model
