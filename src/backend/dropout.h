#pragma once
// Dropout whose mask is a function of a seed, so that it is made again rather than kept.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace qloft::backend {

// x with every element zeroed with probability p and the others divided by 1 - p, f32 [n, m] on the
// CPU or elsewhere. The mask depends on the seed and the element's index alone.
at::Tensor dropout(const at::Tensor& x, double p, std::uint64_t seed);

}  // namespace qloft::backend
