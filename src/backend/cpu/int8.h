#pragma once
// Products of activations with weights in 8 bits (qloft/kernels/int8.h): activations are quantized
// by blocks of 64 along the sum, and so is a slice of the weight at a time.

#include <ATen/core/Tensor.h>

#include "qloft/backend/weight.h"

namespace qloft::backend {

// Whether products of the weight with the activations x run here: on the CPU, where the weight asks
// for it, and more than kFewRows rows, which are read faster by matrix-vector kernels.
bool runs_in_int8(const at::Tensor& x, const Weight& weight);

// Both take f32 or bf16 on the CPU, contiguous, and return the same type.
// x [n, columns] -> x * weight^T [n, rows].
at::Tensor multiply_transposed_int8(const at::Tensor& x, const Weight& weight);
// y [n, rows] -> y * weight [n, columns].
at::Tensor multiply_int8(const at::Tensor& y, const Weight& weight);

}  // namespace qloft::backend
