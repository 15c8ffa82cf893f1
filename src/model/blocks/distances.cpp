#include "distances.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <limits>

#include "norm.h"
#include "pairs.h"
#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using architecture::Distances;
using at::Tensor;

// int64 [length, length]: query - key, those far apart by logarithmic buckets, as transformers
// computes them in f32.
Tensor relative_positions(const Distances& d, std::int64_t length, at::Device device) {
  const Tensor index = at::arange(length, at::TensorOptions(at::kLong).device(device));
  const Tensor distance = index.unsqueeze(1) - index.unsqueeze(0);
  if (d.buckets <= 0) return distance;
  const std::int64_t middle = d.buckets / 2;
  const Tensor size = distance.abs();
  const Tensor far = at::where(size < middle, at::full_like(size, middle - 1), size);
  const Tensor ratio = far.to(at::kFloat) / static_cast<double>(middle);
  const float longest = std::log(static_cast<float>(d.longest - 1) / static_cast<float>(middle));
  const Tensor bucket = (ratio.log() / longest * static_cast<double>(middle - 1)).ceil() +
                        static_cast<double>(middle);
  return at::where(far <= middle, distance, (bucket * distance.sign()).to(at::kLong));
}

// The rows of the table through a linear layer of the block: [heads, 2 span, head_dim].
Tensor project(const Pass& pass, const architecture::Attention& a, const Tensor& table,
               ParameterId linear) {
  const Tensor flat = apply(pass, linear, table.unsqueeze(0));
  return flat.view({table.size(0), a.heads, a.head_dim}).transpose(0, 1);
}

}  // namespace

Tensor attention_by_distances(const Pass& pass, const architecture::Attention& a, const Tensor& q,
                              const Tensor& k, const Tensor& v) {
  if (pass.adapter_of_token.defined()) {
    throw InputError({{}, "adapters"},
                     "expected one adapter for all rows of a model that attends "
                     "by distances, found several");
  }
  const Distances& d = *a.distances;
  const std::int64_t rows = q.size(0), length = q.size(1);
  const Tensor queries = q.transpose(1, 2), keys = k.transpose(1, 2), values = v.transpose(1, 2);
  Tensor scores = queries.matmul(keys.transpose(2, 3));

  const Tensor& stored = pass.state->linear(d.table).weight.dense();
  const Tensor table = normalize(pass, d.norm, stored.to(q.scalar_type()));
  const Tensor distance = relative_positions(d, length, q.device());
  const auto place = [&](const Tensor& apart) {
    return (apart + d.span).clamp(0, 2 * d.span - 1).expand({rows, a.heads, length, length});
  };
  if (d.key != architecture::kNoParameter) {
    const Tensor far = queries.matmul(project(pass, a, table, d.key).transpose(1, 2));
    scores = scores + far.gather(-1, place(distance));
  }
  if (d.query != architecture::kNoParameter) {
    const Tensor far = keys.matmul(project(pass, a, table, d.query).transpose(1, 2));
    scores = scores + far.gather(-1, place(distance.neg())).transpose(2, 3);
  }
  scores = scores.to(at::kFloat) * a.scale;
  const Tensor seen = seen_by_segments(pass.segments, q.device());
  if (seen.defined()) {
    scores = scores.masked_fill(seen.logical_not(), std::numeric_limits<float>::lowest());
  }
  Tensor weights = at::softmax(scores, -1);
  if (seen.defined()) weights = weights * seen;  // what sees nothing gets zeros
  return weights.to(q.scalar_type()).matmul(values).transpose(1, 2).contiguous();
}

}  // namespace qloft::model
