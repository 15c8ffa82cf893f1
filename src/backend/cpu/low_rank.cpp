#include "low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "bf16.h"
#include "products.h"
#include "qloft/backend/tensor.h"
#include "qloft/linalg.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using linalg::Transpose;

// c = alpha * op(a) * op(b) + beta * c for f32 matrices.
void multiply_into(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, Tensor& c,
                   double alpha, double beta) {
  linalg::multiply(matrix_of(a), ta, matrix_of(b), tb, matrix_of(c), static_cast<float>(alpha),
                   static_cast<float>(beta));
}

Tensor product(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, double alpha = 1) {
  Tensor c = at::empty({a.size(ta == Transpose::yes ? 1 : 0), b.size(tb == Transpose::yes ? 0 : 1)},
                       a.options());
  multiply_into(a, ta, b, tb, c, alpha, 0);
  return c;
}

LowRankOperations::Gradients backward_in_bf16(const Tensor& dy, const Tensor& x, const Tensor& h,
                                              const Tensor& a, const Tensor& b, double scale,
                                              LowRankOperations::Wanted wanted, const Tensor& dx) {
  LowRankOperations::Gradients out;
  const Tensor dh = multiply_bf16(dy, to_bf16(b)).mul_(scale);
  if (wanted.a) out.da = multiply_bf16_to_f32(dh.t(), x);
  if (wanted.x && dx.defined()) {
    out.dx = dx;
    add_product_bf16(out.dx, dh, to_bf16(a));
  } else if (wanted.x) {
    out.dx = multiply_bf16(dh, to_bf16(a));
  }
  if (wanted.b) out.db = multiply_bf16_to_f32(dy.t(), h);
  return out;
}

// y += (x A^T) B^T of factors in 8 bits, few rows.
struct PackedSum {
  const LowRank* factors;
  Tensor h;
  MatrixView<float> y;
};

PackedSum packed_sum(const LowRank& factors, std::int64_t rows, MatrixView<float> y) {
  return {&factors, at::empty({rows, factors.packed->a.rows()}, at::kFloat), y};
}

// Adds those sums whose h are there.
void add_packed(std::vector<PackedSum>& sums) {
  std::vector<quant::Product> products;
  for (PackedSum& sum : sums) {
    sum.h.mul_(sum.factors->scale);
    products.push_back({&sum.factors->packed->b, matrix_of(sum.h), sum.y, /*add=*/true});
  }
  quant::multiply_transposed(products);
}

void add_packed(const Tensor& x32, const LowRank& factors, Tensor& sum) {
  std::vector<PackedSum> sums = {packed_sum(factors, x32.size(0), matrix_of(sum))};
  quant::multiply_transposed(matrix_of(x32), factors.packed->a, matrix_of(sums.front().h));
  add_packed(sums);
}

}  // namespace

// Returns h, in bf16 scale * h.
Tensor add_low_rank_cpu(Tensor& y, const Tensor& x, const LowRank& factors) {
  const bool few = x.size(0) <= kFewRows;
  if (factors.packed != nullptr && !few) {
    add_low_rank_cpu(y, x, as_tensors(factors));
    return {};
  }
  const Tensor &a = factors.a, &b = factors.b;
  if (runs_in_bf16(x)) {
    Tensor h = multiply_bf16(x, to_bf16(a).t()).mul_(factors.scale);
    add_product_bf16(y, h, to_bf16(b).t());
    return h;
  }
  Tensor h;
  Tensor sum = as_f32(y);
  const Tensor x32 = as_f32(x);
  if (factors.packed != nullptr) {
    add_packed(x32, factors, sum);
  } else if (few) {
    h = at::empty({x.size(0), a.size(0)}, at::kFloat);
    multiply_few_rows(matrix_of(x32), a, matrix_of(h), 1.f, false);
    multiply_few_rows(matrix_of(h), b, matrix_of(sum), static_cast<float>(factors.scale), true);
  } else {
    h = product(x32, Transpose::no, as_f32(a), Transpose::yes);
    multiply_into(h, Transpose::no, as_f32(b), Transpose::yes, sum, factors.scale, 1);
  }
  y = sum.to(x.scalar_type());
  return h;
}

std::vector<Tensor> multiply_adapted_cpu(const Tensor& x, std::span<const AdaptedWeight> weights) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> out;
  const bool together =
      !runs_in_bf16(x) && x.size(0) <= kFewRows &&
      std::ranges::all_of(weights, [](const AdaptedWeight& w) { return w.weight->is_packed(); });
  if (!together) {
    for (const AdaptedWeight& adapted : weights) {
      out.push_back(multiply_transposed_cpu(x, *adapted.weight));
      if (adapted.factors != nullptr) add_low_rank_cpu(out.back(), x, *adapted.factors);
    }
    return out;
  }
  const Tensor x32 = as_f32(x);
  const std::int64_t rows = x.size(0);
  std::vector<quant::Product> products;
  for (const AdaptedWeight& adapted : weights) {
    out.push_back(at::empty({rows, adapted.weight->rows()}, at::kFloat));
    products.push_back({&adapted.weight->packed(), matrix_of(x32), matrix_of(out.back())});
  }
  std::vector<PackedSum> sums;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const LowRank* factors = weights[i].factors;
    if (factors == nullptr || factors->packed == nullptr) continue;
    sums.push_back(packed_sum(*factors, rows, matrix_of(out[i])));
    products.push_back({&factors->packed->a, matrix_of(x32), matrix_of(sums.back().h)});
  }
  quant::multiply_transposed(products);
  if (!sums.empty()) add_packed(sums);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const LowRank* factors = weights[i].factors;
    if (factors != nullptr && factors->packed == nullptr) add_low_rank_cpu(out[i], x32, *factors);
    out[i] = out[i].to(x.scalar_type());
  }
  return out;
}

LowRankOperations::Gradients low_rank_gradients_cpu(const Tensor& dy, const Tensor& x,
                                                    const Tensor& h, const Tensor& a,
                                                    const Tensor& b, double scale,
                                                    LowRankOperations::Wanted wanted,
                                                    const Tensor& dx) {
  if (runs_in_bf16(dy)) return backward_in_bf16(dy, x, h, a, b, scale, wanted, dx);
  LowRankOperations::Gradients out;
  const Tensor dy32 = as_f32(dy);
  if (wanted.x || wanted.a) {
    const Tensor dh = product(dy32, Transpose::no, b, Transpose::no, scale);
    if (wanted.a) out.da = product(dh, Transpose::yes, as_f32(x), Transpose::no);
    if (wanted.x && dx.defined()) {
      Tensor sum = as_f32(dx);
      multiply_into(dh, Transpose::no, a, Transpose::no, sum, 1, 1);
      out.dx = sum.to(dy.scalar_type());
    } else if (wanted.x) {
      out.dx = product(dh, Transpose::no, a, Transpose::no);
    }
  }
  if (wanted.b) out.db = product(dy32, Transpose::yes, as_f32(h), Transpose::no, scale);
  return out;
}

}  // namespace qloft::backend
