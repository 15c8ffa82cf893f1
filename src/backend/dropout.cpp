#include "dropout.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include "qloft/core/threads.h"

namespace qloft::backend {
namespace {

// The finalizer of splitmix64 (Steele, Lea & Flood 2014).
inline std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

constexpr std::int64_t kElementsAtOnce = 1 << 16;

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  const auto in = x.to(at::kCPU, at::kFloat).contiguous();
  auto out = at::empty_like(in);
  const float* from = in.data_ptr<float>();
  float* to = out.data_ptr<float>();
  // An element is dropped when its 32 random bits fall below p * 2^32.
  const auto threshold = static_cast<std::uint64_t>(p * 4294967296.0);
  const auto keep_scale = static_cast<float>(1.0 / (1.0 - p));
  const std::uint64_t start = mix(seed);
  parallel_for(in.numel(), kElementsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t bits =
          mix(start + static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15ull) >> 32;
      to[i] = bits < threshold ? 0.f : from[i] * keep_scale;
    }
  });
  return out.to(x.device());
}

}  // namespace qloft::backend
