#include "rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "rows.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// theta^(2 i / head_dim) for i in [0, head_dim / 2), in f32 as transformers computes it.
Tensor powers(double theta, std::int64_t head_dim) {
  const Tensor exponent =
      at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / static_cast<double>(head_dim);
  return at::pow(at::Scalar(theta), exponent);
}

// NTK by parts of Llama 3.1: long wavelengths are stretched, short ones are not, between them it
// fades.
Tensor llama3_frequencies(const Rope& rope, const Tensor& plain) {
  const double low = rope.original_max_positions / rope.low_frequency_factor;
  const double high = rope.original_max_positions / rope.high_frequency_factor;
  const Tensor wavelength = 2 * std::numbers::pi / plain;
  const Tensor smooth = (rope.original_max_positions / wavelength - rope.low_frequency_factor) /
                        (rope.high_frequency_factor - rope.low_frequency_factor);
  const Tensor faded = (1 - smooth) * plain / rope.factor + smooth * plain;
  return at::where(wavelength > low, plain / rope.factor,
                   at::where(wavelength < high, plain, faded));
}

// YaRN (Peng et al. 2023), equations 17 to 20.
Tensor yarn_frequencies(const Rope& rope, std::int64_t head_dim) {
  const double dim = static_cast<double>(head_dim);
  const auto correction = [&](double rotations) {
    return dim * std::log(rope.original_max_positions / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = correction(rope.beta_fast);
  double high = correction(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const Tensor ramp = ((at::arange(head_dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const Tensor plain = powers(rope.theta, head_dim);
  return ramp / (rope.factor * plain) + (1 - ramp) / plain;
}

Tensor frequencies(const Rope& rope, std::int64_t head_dim, double length) {
  switch (rope.type) {
    case RopeType::standard:
      break;
    case RopeType::linear:
      return powers(rope.theta, head_dim).reciprocal() / rope.factor;
    case RopeType::dynamic: {
      const double dim = static_cast<double>(head_dim);
      const double longest = std::max(length, rope.original_max_positions);
      const double stretch =
          rope.factor * longest / rope.original_max_positions - (rope.factor - 1);
      const double theta = rope.theta * std::pow(stretch, dim / (dim - 2));
      return powers(theta, head_dim).reciprocal();
    }
    case RopeType::llama3:
      return llama3_frequencies(rope, powers(rope.theta, head_dim).reciprocal());
    case RopeType::yarn:
      return yarn_frequencies(rope, head_dim);
  }
  return powers(rope.theta, head_dim).reciprocal();
}

// out = x * cos + rotate_half(x) * (direction * sin), with cos and sin the same in both halves.
Tensor turned(const Tensor& x, const Tensor& cosine, const Tensor& sine, float direction) {
  const Tensor in = x.contiguous();
  Tensor out = at::empty_like(in);
  const std::int64_t heads = in.size(2);
  const std::int64_t dim = in.size(3);
  const std::int64_t half = dim / 2;
  const float* cosines = cosine.data_ptr<float>();
  const float* sines = sine.data_ptr<float>();
  for_rows(in.size(0) * in.size(1), heads * dim, [&](std::int64_t row, RowBuffers& buffers) {
    const float* c = cosines + row * half;
    const float* s = sines + row * half;
    const float* from = read_row(in, row, heads * dim, buffers.a(heads * dim));
    float* to = row_to_write(out, row, heads * dim, buffers.b(heads * dim));
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* first = from + head * dim;
      const float* second = first + half;
      float* out_first = to + head * dim;
      float* out_second = out_first + half;
      for (std::int64_t i = 0; i < half; ++i) {
        const float sin = direction * s[i];
        out_first[i] = first[i] * c[i] - second[i] * sin;
        out_second[i] = second[i] * c[i] + first[i] * sin;
      }
    }
    write_row(out, row, heads * dim, to);
  });
  return out;
}

// The transpose of a rotation is the rotation back.
struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cosine,
                        const Tensor& sine) {
    ctx->save_for_backward({cosine, sine});
    return turned(x, cosine, sine, 1.f);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    return {turned(gradients[0], saved[0], saved[1], -1.f), Tensor(), Tensor()};
  }
};

}  // namespace

Rotation make_rotation(const Rope& rope, std::int64_t head_dim, const Tensor& positions) {
  const at::NoGradGuard no_grad;
  const bool needs_length = rope.type == RopeType::dynamic && positions.numel() > 0;
  const double length =
      needs_length ? static_cast<double>(positions.max().item<std::int64_t>() + 1) : 0.0;
  const Tensor angles = positions.to(at::kFloat).unsqueeze(-1) *
                        frequencies(rope, head_dim, length).to(positions.device());
  return {angles.cos() * rope.attention_factor, angles.sin() * rope.attention_factor};
}

Tensor rotate(const Tensor& x, const Rotation& rotation) {
  if (x.is_cpu() && at::GradMode::is_enabled()) {
    return RotateFunction::apply(x, rotation.cosine, rotation.sine);
  }
  if (x.is_cpu()) return turned(x, rotation.cosine, rotation.sine, 1.f);
  const Tensor cosine = rotation.cosine.unsqueeze(2).to(x.scalar_type());
  const Tensor sine = rotation.sine.unsqueeze(2).to(x.scalar_type());
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine},
                 -1);
}

}  // namespace qloft::model
