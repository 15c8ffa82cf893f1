#pragma once
// Rotary position embedding (Su et al. 2021), in the half-split order of transformers.

#include <ATen/core/Tensor.h>

#include "qloft/architecture.h"

namespace qloft::model {

// cos and sin of every position: f32 [rows, length, head_dim / 2] each, times the attention factor.
struct Rotation {
  at::Tensor cosine;
  at::Tensor sine;
};

// positions: int64 [rows, length]. Frequencies as in transformers' modeling_rope_utils.py; those of
// the dynamic type depend on the largest position.
Rotation make_rotation(const Rope& rope, std::int64_t head_dim, const at::Tensor& positions);

// x [rows, length, heads, head_dim] turned by its positions' angles. The backward pass keeps only
// the rotation.
at::Tensor rotate(const at::Tensor& x, const Rotation& rotation);

}  // namespace qloft::model
