#include "pairs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>

#include <limits>

namespace qloft::model {

using at::Tensor;

Tensor attend_to_pairs(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                       const Tensor& bias, const Tensor& seen) {
  Tensor scores = q.transpose(1, 2).matmul(k.permute({0, 2, 3, 1})).to(at::kFloat);
  if (scale != 1) scores = scores * scale;
  if (bias.defined()) scores = scores + bias;
  if (seen.defined()) {
    scores = scores.masked_fill(seen.logical_not(), std::numeric_limits<float>::lowest());
  }
  const Tensor weights = at::softmax(scores, -1).to(v.scalar_type());
  return weights.matmul(v.transpose(1, 2)).transpose(1, 2).contiguous();
}

Tensor seen_by_segments(const Tensor& segments, at::Device device) {
  if (!segments.defined()) return {};
  const Tensor there = segments.to(device);
  const Tensor own = there.unsqueeze(2);
  return (own == there.unsqueeze(1)).logical_and(own >= 0).unsqueeze(1);
}

}  // namespace qloft::model
