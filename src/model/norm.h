#pragma once
#include <ATen/core/Tensor.h>

namespace qloft::model {

// y = weight * x / sqrt(mean(x^2) + epsilon) over the last axis (Zhang & Sennrich 2019), computed
// in f32, in x's type. x [..., n], weight f32 [n]. For the backward pass x and one f32 a row are
// kept.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

}  // namespace qloft::model
