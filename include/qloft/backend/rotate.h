#pragma once
// Rotary position embedding (Su et al. 2021), in the half-split order of transformers.

#include <ATen/core/Tensor.h>

namespace qloft::backend {

// cos and sin of every position: f32 [rows, length, dimensions / 2] each.
struct Rotation {
  at::Tensor cosine;
  at::Tensor sine;
};

// x [rows, length, heads, head_dim], the first `dimensions` of each head rotated by its position's
// angles, the rest as they are. The backward pass keeps only the rotation.
at::Tensor rotate(const at::Tensor& x, const Rotation& rotation);

}  // namespace qloft::backend
