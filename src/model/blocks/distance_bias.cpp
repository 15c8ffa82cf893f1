#include "distance_bias.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "pairs.h"

namespace qloft::model {
namespace {

using architecture::Attention;
using at::Tensor;

// int64 [queries, keys]: which row of the table each pair has, in f32 as transformers computes it.
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

// f32 [heads, queries, keys]: of queries from position `first` on and keys from 0 on.
Tensor bias_of(const Pass& pass, const Attention& a, std::int64_t first, std::int64_t queries,
               std::int64_t keys) {
  const Tensor& table = pass.state->linear(a.bias->table).weight.dense();
  const auto index = at::TensorOptions(at::kLong).device(table.device());
  const Tensor behind =
      at::arange(keys, index).unsqueeze(0) - at::arange(first, first + queries, index).unsqueeze(1);
  const Tensor rows = buckets_of(a, table.size(0), behind);
  return at::embedding(table, rows).to(at::kFloat).permute({2, 0, 1});
}

// bool [queries, keys]: those that are not behind a query.
Tensor seen_before(std::int64_t queries, std::int64_t keys, at::Device device) {
  return at::ones({queries, keys}, at::TensorOptions(at::kBool).device(device))
      .tril(keys - queries);
}

}  // namespace

Tensor attend_with_bias(const Pass& pass, const Attention& a, const Tensor& q, const Tensor& k,
                        const Tensor& v) {
  const std::int64_t length = q.size(1);
  Tensor seen = seen_by_segments(pass.segments, q.device());
  if (a.causal) {
    const Tensor before = seen_before(length, length, q.device());
    seen = seen.defined() ? seen.logical_and(before) : before;
  }
  return attend_to_pairs(q, k, v, a.scale, bias_of(pass, a, 0, length, length), seen);
}

Tensor attend_with_bias(const Pass& pass, const Attention& a, const Tensor& q,
                        const std::vector<backend::CachedSequence>& sequences) {
  std::vector<Tensor> out;
  for (const backend::CachedSequence& sequence : sequences) {
    const std::int64_t count = sequence.count, keys = sequence.past + count;
    const auto heads = [&](const backend::CachedHeads& cached) {
      return backend::read(cached, keys, q.scalar_type()).transpose(1, 2);
    };
    out.push_back(attend_to_pairs(q.narrow(1, sequence.first, count), heads(sequence.keys),
                                  heads(sequence.values), a.scale,
                                  bias_of(pass, a, sequence.past, count, keys),
                                  count == 1 ? Tensor() : seen_before(count, keys, q.device())));
  }
  return at::cat(out, 1);
}

}  // namespace qloft::model
