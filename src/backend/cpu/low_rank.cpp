#include "low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

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

}  // namespace

// Returns h, in bf16 scale * h.
Tensor add_low_rank_cpu(Tensor& y, const Tensor& x, const Tensor& a, const Tensor& b,
                        double scale) {
  if (runs_in_bf16(x)) {
    Tensor h = multiply_bf16(x, to_bf16(a).t()).mul_(scale);
    add_product_bf16(y, h, to_bf16(b).t());
    return h;
  }
  Tensor h;
  Tensor sum = as_f32(y);
  const Tensor x32 = as_f32(x);
  if (x.size(0) <= kFewRows) {
    h = at::empty({x.size(0), a.size(0)}, at::kFloat);
    multiply_few_rows(matrix_of(x32), a, matrix_of(h), 1.f, false);
    multiply_few_rows(matrix_of(h), b, matrix_of(sum), static_cast<float>(scale), true);
  } else {
    h = product(x32, Transpose::no, a, Transpose::yes);
    multiply_into(h, Transpose::no, b, Transpose::yes, sum, scale, 1);
  }
  y = sum.to(x.scalar_type());
  return h;
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
