#pragma once
// Norms over the last axis, computed in f32, in x's type. x [..., n], weight and bias f32 [n].

#include <ATen/core/Tensor.h>

namespace qloft::backend {

// y = (offset + weight) * x / sqrt(mean(x^2) + epsilon) (Zhang & Sennrich 2019). For the backward
// pass x and one f32 a row are kept.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                    double offset = 0);

// y = weight * (x - mean) / sqrt(variance + epsilon) + bias (Ba et al. 2016); `bias` may be
// undefined. For the backward pass x and two f32 a row are kept.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double epsilon);

}  // namespace qloft::backend
