#pragma once
// Products in bf16 on processors that have units for it: torch's (oneDNN's) on one thread each, in
// parallel over slices of the result on the threads of core. Sums are f32 and rounded once.

#include <ATen/core/Tensor.h>

#include "qloft/backend/weight.h"

namespace qloft::backend {

// Whether products with the activations x run here: bf16 on a CPU with AVX-512 BF16 or AMX, and
// more than kFewRows rows, which are read faster as f32 by matrix-vector kernels.
bool runs_in_bf16(const at::Tensor& x);

// A contiguous f32 matrix as bf16, on all threads; one in bf16 as it is.
at::Tensor to_bf16(const at::Tensor& x);

// All take bf16 matrices on the CPU.
// a [n, k] * b [k, m] -> [n, m].
at::Tensor multiply_bf16(const at::Tensor& a, const at::Tensor& b);
// The same as f32, rounded to bf16 before.
at::Tensor multiply_bf16_to_f32(const at::Tensor& a, const at::Tensor& b);
// sum [n, m] += a b, rounded once.
void add_product_bf16(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);
// x [n, columns] -> x * weight^T [n, rows].
at::Tensor multiply_transposed_bf16(const at::Tensor& x, const Weight& weight);
// y [n, rows] -> y * weight [n, columns].
at::Tensor multiply_bf16(const at::Tensor& y, const Weight& weight);

}  // namespace qloft::backend
