#include "pairs.h"

#include <ATen/TensorOperators.h>

namespace qloft::model {

using at::Tensor;

Tensor seen_by_segments(const Tensor& segments, at::Device device) {
  if (!segments.defined()) return {};
  const Tensor there = segments.to(device);
  const Tensor own = there.unsqueeze(2);
  return (own == there.unsqueeze(1)).logical_and(own >= 0).unsqueeze(1);
}

}  // namespace qloft::model
