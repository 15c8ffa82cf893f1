// By torch's own operators and autograd, for devices other than the CPU; the CPU's twin in tests.
#include "../operations.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cache.h"
#include "packed.h"
#include "qloft/backend/tensor.h"
#include "qloft/core/element.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// The whole weight as a dense tensor where the activations are: one matrix at a time.
Tensor dense_copy(const Weight& weight, const Tensor& like) {
  if (!weight.is_packed()) return weight.dense().to(like.device(), like.scalar_type());
  if (weight.tensors != nullptr) return unpack(*weight.tensors, like.scalar_type());
  Tensor out = at::empty({weight.rows(), weight.columns()}, at::kFloat);
  quant::dequantize(weight.packed(), matrix_of(out));
  return out.to(like.device(), like.scalar_type());
}

Tensor multiply_transposed_torch(const Tensor& x, const Weight& weight) {
  const at::NoGradGuard no_grad;
  return at::mm(x, dense_copy(weight, x).t());
}

Tensor multiply_torch(const Tensor& y, const Weight& weight) {
  const at::NoGradGuard no_grad;
  return at::mm(y, dense_copy(weight, y));
}

Tensor look_up_torch(const Weight& weight, const Tensor& ids, at::ScalarType dtype) {
  if (!weight.is_packed()) return at::embedding(weight.dense(), ids).to(dtype);
  return kCpuOperations.look_up(weight, ids.to(at::kCPU), dtype).to(ids.device());
}

Tensor add_low_rank_torch(Tensor& y, const Tensor& x, const LowRank& factors) {
  const LowRank f = as_tensors(factors);
  Tensor h = x.to(at::kFloat).mm(f.a.to(x.device()).t());
  y = y.to(at::kFloat).addmm(h, f.b.to(x.device()).t(), 1, f.scale).to(x.scalar_type());
  return h;
}

std::vector<Tensor> multiply_adapted_torch(const Tensor& x,
                                           std::span<const AdaptedWeight> weights) {
  std::vector<Tensor> out;
  for (const AdaptedWeight& adapted : weights) {
    out.push_back(multiply_transposed_torch(x, *adapted.weight));
    if (adapted.factors != nullptr) add_low_rank_torch(out.back(), x, *adapted.factors);
  }
  return out;
}

LowRankOperations::Gradients low_rank_gradients_torch(const Tensor& dy, const Tensor& x,
                                                      const Tensor& h, const Tensor& a,
                                                      const Tensor& b, double scale,
                                                      LowRankOperations::Wanted wanted,
                                                      const Tensor& dx) {
  LowRankOperations::Gradients out;
  const Tensor dy32 = dy.to(at::kFloat);
  const Tensor dh = dy32.mm(b) * scale;
  if (wanted.a) out.da = dh.t().mm(x.to(at::kFloat));
  if (wanted.x) {
    const Tensor share = dh.mm(a);
    out.dx = dx.defined() ? (dx.to(at::kFloat) + share).to(dy.scalar_type()) : share;
  }
  if (wanted.b) out.db = dy32.t().mm(h) * scale;
  return out;
}

Tensor rms_norm_torch(const Tensor& x, const Tensor& weight, double epsilon, double offset) {
  const Tensor x32 = x.to(at::kFloat);
  const Tensor r = at::rsqrt(x32.square().mean(-1, true) + epsilon);
  return (x32 * r * (weight + offset)).to(x.scalar_type());
}

Tensor layer_norm_torch(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  const Tensor out = std::get<0>(at::native_layer_norm(x.to(at::kFloat).contiguous(), {x.size(-1)},
                                                       weight, maybe(bias), epsilon));
  return out.to(x.scalar_type());
}

Tensor rotate_torch(const Tensor& x, const Rotation& rotation) {
  const Tensor cosine = rotation.cosine.unsqueeze(2).to(x.scalar_type());
  const Tensor sine = rotation.sine.unsqueeze(2).to(x.scalar_type());
  const std::int64_t half = cosine.size(-1);
  const Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
  const Tensor rest = x.narrow(-1, 2 * half, x.size(-1) - 2 * half);
  return at::cat({first * cosine - second * sine, second * cosine + first * sine, rest}, -1);
}

Tensor activate_torch(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::relu:
      return at::relu(x);
    case Activation::tanh:
      return at::tanh(x);
  }
  return x;
}

Tensor gate_torch(const Tensor& gate, const Tensor& up, Activation activation) {
  return activate_torch(gate, activation) * up;
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t past,
              const Visibility& visibility, const Scores& rule) {
  const std::int64_t length = q.size(1), keys = k.size(2), group = q.size(2) / k.size(1);
  const auto options = at::TensorOptions(at::kLong).device(q.device());
  const Tensor query_index = at::arange(past, past + length, options).view({1, length, 1});
  const Tensor key_index = at::arange(keys, options).view({1, 1, keys});
  Tensor seen = visibility.causal && !visibility.across ? key_index <= query_index : key_index >= 0;
  if (visibility.window > 0 && !visibility.across) {
    seen = seen.logical_and(query_index - key_index < visibility.window);
    if (!visibility.causal) seen = seen.logical_and(key_index - query_index < visibility.window);
  }
  if (visibility.segments.defined()) {
    const Tensor segments = visibility.segments.to(q.device());
    if (visibility.across) {
      seen = segments.unsqueeze(1) >= 0;
    } else {
      const Tensor own = segments.narrow(1, past, length).unsqueeze(2);
      seen = seen.logical_and(own == segments.unsqueeze(1)).logical_and(own >= 0);
    }
  }
  const Tensor visible = seen.unsqueeze(1);
  const Tensor every_key = k.repeat_interleave(group, 1),
               every_value = v.repeat_interleave(group, 1);
  Tensor scores = q.transpose(1, 2).matmul(every_key.transpose(2, 3)).to(at::kFloat) * rule.scale;
  if (rule.soft_cap != 0) scores = (scores / rule.soft_cap).tanh() * rule.soft_cap;
  if (!rule.slopes.empty()) {
    const Tensor slopes = at::tensor(rule.slopes).to(q.device()).view({1, -1, 1, 1});
    scores = scores - slopes * (query_index - key_index).unsqueeze(1);
  }
  if (rule.bias.defined()) {
    const std::int64_t reach = (rule.bias.size(1) + 1) / 2;
    const Tensor column = key_index - query_index + (reach - 1);  // [1, length, keys]
    scores = scores + rule.bias.index_select(1, column.flatten()).view({-1, length, keys});
  }
  scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<float>::infinity());
  const Tensor weights = at::softmax(scores, -1).to(q.scalar_type());
  const Tensor out =
      weights.masked_fill(visible.any(-1, true).logical_not(), 0).matmul(every_value);
  return out.transpose(1, 2);
}

Tensor attention_torch(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Visibility& visibility, const Scores& scores) {
  return attend(q, k.transpose(1, 2), v.transpose(1, 2), 0, visibility, scores);
}

Tensor attention_over_caches_torch(const Tensor& q, std::span<const CachedSequence> sequences,
                                   std::int64_t window, const Scores& scores) {
  std::vector<Tensor> out;
  for (const CachedSequence& sequence : sequences) {
    const std::int64_t filled = sequence.past + sequence.count;
    // f32 where one of the two is, so that neither is rounded.
    const bool wide = sequence.keys.type() == StoredType::f32;
    const auto type = wide ? at::kFloat : q.scalar_type();
    out.push_back(attend(q.narrow(1, sequence.first, sequence.count).to(type),
                         read_torch(sequence.keys, filled, type),
                         read_torch(sequence.values, filled, type), sequence.past, {window, {}},
                         scores)
                      .to(q.scalar_type()));
  }
  return at::cat(out, 1);
}

}  // namespace

void add_gram_torch(const Tensor& x, Tensor& gram) {
  const Tensor input = x.to(at::kFloat);
  gram.addmm_(input.t(), input);
}

void add_products_torch(const Tensor& x, const Tensor& y, Tensor& sums) {
  sums.addmm_(x.to(at::kFloat).t(), y.to(at::kFloat));
}

// Elements of g that are held at once: 256 MiB.
constexpr std::int64_t kProductsAtOnce = 1 << 26;

SquareSums squared_products_torch(const Tensor& dy, const Tensor& x) {
  const at::NoGradGuard no_grad;
  const Tensor gradient = dy.to(at::kFloat).t(), input = x.to(at::kFloat);
  const std::int64_t rows = dy.size(1);
  const std::int64_t at_once =
      std::max<std::int64_t>(1, kProductsAtOnce / std::max<std::int64_t>(1, x.size(1)));
  std::vector<Tensor> by_row;
  Tensor by_column = at::zeros({x.size(1)}, x.options().dtype(at::kDouble));
  for (std::int64_t first = 0; first < rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows - first);
    const Tensor squares = gradient.narrow(0, first, count).mm(input).square_();
    by_row.push_back(squares.sum({1}, false, at::kDouble));
    by_column += squares.sum({0}, false, at::kDouble);
  }
  const auto values = [](const Tensor& sums) {
    const Tensor here = sums.cpu();
    const auto* begin = here.data_ptr<double>();
    return std::vector<double>(begin, begin + here.numel());
  };
  return {by_row.empty() ? std::vector<double>() : values(at::cat(by_row)), values(by_column)};
}

const Operations kTorchOperations = {
    .multiply_transposed = multiply_transposed_torch,
    .multiply_adapted = multiply_adapted_torch,
    .multiply = multiply_torch,
    .look_up = look_up_torch,
    .low_rank = {.add = add_low_rank_torch, .backward = low_rank_gradients_torch},
    .rms_norm = rms_norm_torch,
    .layer_norm = layer_norm_torch,
    .rotate = rotate_torch,
    .activate = activate_torch,
    .gate = gate_torch,
    .attention = attention_torch,
    .attention_over_caches = attention_over_caches_torch,
    .store = store_torch,
    .read = read_torch,
    .add_gram = add_gram_torch,
    .add_products = add_products_torch,
    .squared_products = squared_products_torch,
};

}  // namespace qloft::backend
