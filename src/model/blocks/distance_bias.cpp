#include "distance_bias.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace qloft::model {
namespace {

using architecture::Attention;
using at::Tensor;

// Which row of the table each pair has by how far the key is behind the query, int64; in f32 as
// transformers computes it.
Tensor buckets_of(const Attention& a, std::int64_t rows, const Tensor& behind) {
  Tensor out = at::zeros_like(behind), distance = behind;
  if (a.causal) {
    distance = behind.neg().clamp_min(0);
  } else {
    rows /= 2;
    out = (behind > 0).to(at::kLong) * rows;
    distance = behind.abs();
  }
  const std::int64_t near = rows / 2;
  const double stretch = std::log(static_cast<double>(a.bias->longest) / static_cast<double>(near));
  const Tensor ratio = distance.to(at::kFloat) / static_cast<double>(near);
  const Tensor far =
      near + (ratio.log() / stretch * static_cast<double>(rows - near)).to(at::kLong);
  return out + at::where(distance < near, distance, far.clamp_max(rows - 1));
}

}  // namespace

Tensor bias_by_distance(const Pass& pass, const Attention& a, std::int64_t reach) {
  const Tensor& table = pass.state->linear(a.bias->table).weight.dense();
  const auto index = at::TensorOptions(at::kLong).device(table.device());
  const Tensor rows = buckets_of(a, table.size(0), at::arange(1 - reach, reach, index));
  return at::embedding(table, rows).to(at::kFloat).t();
}

}  // namespace qloft::model
