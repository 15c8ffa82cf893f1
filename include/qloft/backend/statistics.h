#pragma once
// What calibration sums up of a linear layer's activations, on the device that they are on.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace qloft::backend {

// gram = gram + x^T x, at least in the upper triangle; x [tokens, n] f32 or bf16, gram f32 [n, n]
// on x's device. On a processor with bf16 units, bf16 activations are multiplied by these: a call's
// share of a sum is then rounded to bf16 before it is added in f32.
void add_gram(const at::Tensor& x, at::Tensor& gram);

// Sums of the squares of g = dy^T x by row [out] and by column [in].
struct SquareSums {
  std::vector<double> rows;
  std::vector<double> columns;
};

// dy [tokens, out], x [tokens, in], f32 or bf16 on one device; what add_gram() says of bf16 holds
// for g. A few rows of g are made at a time: it is never held as a whole.
SquareSums squared_products(const at::Tensor& dy, const at::Tensor& x);

}  // namespace qloft::backend
