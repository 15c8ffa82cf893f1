#pragma once
// Products in bf16 on processors that have units for it: torch's (oneDNN's) on one thread each, in
// parallel over slices of the result on the threads of core. Sums are f32 and rounded once.

#include <ATen/core/Tensor.h>

#include "weight.h"

namespace qloft::model {

// Whether products with the activations x run here: bf16 on a CPU with AVX-512 BF16 or AMX, and
// more than kFewRows rows, which are read faster as f32 by matrix-vector kernels.
bool runs_in_bf16(const at::Tensor& x);

// All take bf16 matrices on the CPU.
// a [n, k] * b [k, m] -> [n, m].
at::Tensor multiply_bf16(const at::Tensor& a, const at::Tensor& b);
// x [n, columns] -> x * weight^T [n, rows].
at::Tensor multiply_transposed_bf16(const at::Tensor& x, const Weight& weight);
// y [n, rows] -> y * weight [n, columns].
at::Tensor multiply_bf16(const at::Tensor& y, const Weight& weight);

}  // namespace qloft::model
