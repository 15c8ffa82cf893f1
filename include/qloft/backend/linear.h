#pragma once
// The linear layer: a dense or packed base weight, and low-rank factors beside it.
//
//   y = x W^T + scale * (dropout(x) A^T) B^T + bias

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "qloft/backend/weight.h"

namespace qloft::backend {

// One adapter's factors for one weight.
struct LowRank {
  at::Tensor a;  // f32 [rank, in]
  at::Tensor b;  // f32 [out, rank]
  double scale = 1;
  double dropout = 0;
};

// The factors of some rows of x.
struct RowFactors {
  LowRank factors;
  at::Tensor rows;  // int64 [n], of x as a matrix; undefined: all
};

// x [..., in], f32 or bf16 -> [..., out] of the same type. Gradients go to x, to factors and to a
// dense weight and bias that require them; a frozen or packed weight gets none. `bias` f32 [out] or
// undefined. `dropout_seed`: nonzero draws the masks from it, the same ones whenever the seed is
// the same; zero: no dropout.
at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const std::vector<RowFactors>& factors, std::uint64_t dropout_seed);

// Weight, bias, factors and seed of one of several layers with the same x.
struct LinearUse {
  const Weight* weight;
  at::Tensor bias;
  std::vector<RowFactors> factors;
  std::uint64_t dropout_seed = 0;
};
// What linear() gives for each. Where no gradients are wanted and x has few rows, packed weights
// are read in one go: decoding waits less between products.
std::vector<at::Tensor> linear_together(const std::vector<LinearUse>& uses, const at::Tensor& x);

// What a device does with factors, x and y as matrices, without gradients.
struct LowRankOperations {
  // y [n, out] += scale * h B^T with h = x A^T; returns what backward() needs of h.
  at::Tensor (*add)(at::Tensor& y, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b,
                    double scale);
  // From dy [n, out]: dx [n, in] (undefined where not wanted), and gradients of the factors.
  struct Gradients {
    at::Tensor dx, da, db;
  };
  struct Wanted {
    bool x = false, a = false, b = false;
  };
  Gradients (*backward)(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& h,
                        const at::Tensor& a, const at::Tensor& b, double scale, Wanted wanted,
                        const at::Tensor& dx);
};

}  // namespace qloft::backend
