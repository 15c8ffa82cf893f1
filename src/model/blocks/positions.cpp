#include "positions.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace qloft::model {
namespace {

using architecture::Rope;
using architecture::RopeType;
using at::Tensor;

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

// LongRoPE (Ding et al. 2024): a factor for each frequency, other ones beyond the trained length.
Tensor longrope_frequencies(const Rope& rope, double length) {
  const auto& factors =
      length > rope.original_max_positions ? rope.long_factors : rope.short_factors;
  const Tensor stretch = at::tensor(std::vector<float>(factors.begin(), factors.end()));
  return (stretch * powers(rope.theta, rope.dimensions)).reciprocal();
}

// `length`: the largest position plus one, for the types that depend on it.
Tensor frequencies(const Rope& rope, double length) {
  const std::int64_t head_dim = rope.dimensions;
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
    case RopeType::longrope:
      return longrope_frequencies(rope, length);
  }
  return powers(rope.theta, head_dim).reciprocal();
}

}  // namespace

bool depends_on_length(const Rope& rope) {
  return rope.type == RopeType::dynamic || rope.type == RopeType::longrope;
}

backend::Rotation make_rotation(const Rope& rope, const Tensor& positions) {
  const at::NoGradGuard no_grad;
  const double length = depends_on_length(rope) && positions.numel() > 0
                            ? static_cast<double>(positions.max().item<std::int64_t>() + 1)
                            : 0.0;
  const Tensor angles =
      positions.to(at::kFloat).unsqueeze(-1) * frequencies(rope, length).to(positions.device());
  return {angles.cos() * rope.attention_factor, angles.sin() * rope.attention_factor};
}

}  // namespace qloft::model
