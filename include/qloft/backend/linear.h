#pragma once
// The linear layer: a dense or packed base weight, and low-rank factors beside it.
//
//   y = x W^T + scale * (dropout(x) A^T) B^T + bias

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "qloft/backend/weight.h"

namespace qloft::backend {

// Factors in 8 bits: NF8 in blocks of 64 with f32 scales, the rank filled up with zeros to a
// multiple of 32.
struct PackedFactors {
  quant::PackedMatrix a, b;
  std::int64_t rank = 0;  // before
};

// One adapter's factors for one weight: tensors or, of one that is not trained, packed.
struct LowRank {
  at::Tensor a;  // f32 [rank, in]; bf16 where it is not trained
  at::Tensor b;  // [out, rank], the same
  double scale = 1;
  double dropout = 0;
  std::shared_ptr<const PackedFactors> packed = {};  // a and b are undefined then
};

// The same factors, a and b in f32 on the CPU, packed for products with few rows there.
LowRank pack(const LowRank& factors);
// The same factors as f32 tensors.
LowRank as_tensors(const LowRank& factors);

// The factors of some rows of x.
struct RowFactors {
  LowRank factors;
  at::Tensor rows;  // int64 [n], of x as a matrix; undefined: all
};

// x [..., in], f32 or bf16 -> [..., out] of the same type. Gradients go to x, to factors and to a
// dense weight and bias that require them, and to trained scales; else a weight gets none. `bias`
// f32 [out] or undefined. `dropout_seed`: nonzero draws the masks from it, the same ones whenever
// the seed is the same; zero: no dropout.
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
// are read in one go, and packed factors with them: decoding waits less between products.
std::vector<at::Tensor> linear_together(const std::vector<LinearUse>& uses, const at::Tensor& x);

// What a device does with factors, x and y as matrices, without gradients.
struct LowRankOperations {
  // y [n, out] += scale * h B^T with h = x A^T; returns what backward() needs of h, nothing where
  // the factors are packed.
  at::Tensor (*add)(at::Tensor& y, const at::Tensor& x, const LowRank& factors);
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
