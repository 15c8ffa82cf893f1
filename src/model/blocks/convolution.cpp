#include "convolution.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>

#include "norm.h"
#include "qloft/backend/activation.h"

namespace qloft::model {
namespace {

using at::Tensor;

// x [rows, length, ...] to [rows, length, ..., width]: of each place its neighbours, `value` beyond
// the ends.
Tensor neighbours(const Tensor& x, std::int64_t width, const at::Scalar& value) {
  const std::int64_t side = width / 2;
  std::vector<std::int64_t> padding(static_cast<std::size_t>(2 * (x.dim() - 2)), 0);
  padding.insert(padding.end(), {side, side});
  return at::constant_pad_nd(x, padding, value).unfold(1, width, 1);
}

// bool [rows, length, width]: which neighbours are of a token's own segment.
Tensor own_segment(const Tensor& segments, std::int64_t width) {
  return neighbours(segments, width, -1)
      .eq(segments.unsqueeze(2))
      .logical_and(segments.ge(0).unsqueeze(2));
}

}  // namespace

Tensor convolve(const Pass& pass, const architecture::Convolution& c, const Tensor& x,
                const Tensor& y) {
  const std::int64_t rows = x.size(0), length = x.size(1), hidden = x.size(2);
  Tensor near = neighbours(x, c.width, 0);  // [rows, length, hidden, width]
  Tensor segments;
  if (pass.segments.defined()) {
    segments = pass.segments.to(x.device());
    near = near * own_segment(segments, c.width).unsqueeze(2);
  }
  const Linear& linear = pass.state->linear(c.weight);
  const Tensor weight = linear.weight.dense().to(x.scalar_type());
  const std::int64_t part = hidden / c.groups;
  // [groups, tokens, part * width] by [groups, part * width, part]
  const Tensor columns = near.reshape({rows * length, c.groups, part * c.width}).transpose(0, 1);
  const Tensor product =
      columns.matmul(weight.view({c.groups, part, part * c.width}).transpose(1, 2));
  Tensor made = product.transpose(0, 1).reshape({rows, length, hidden});
  made = made + linear.bias.to(x.scalar_type());
  const Tensor there =
      segments.defined() ? segments.ge(0).unsqueeze(2).to(x.scalar_type()) : Tensor();
  if (there.defined()) made = made * there;
  const Tensor sum = y + backend::activate(made.contiguous(), c.activation);
  const Tensor normed = normalize(pass, c.norm, sum);
  return there.defined() ? normed * there : normed;
}

}  // namespace qloft::model
