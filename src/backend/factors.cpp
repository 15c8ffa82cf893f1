// An adapter's factors in 8 bits.
#include <ATen/ops/empty.h>

#include <algorithm>

#include "eight_bits.h"
#include "qloft/backend/linear.h"
#include "qloft/backend/stored_type.h"
#include "qloft/backend/tensor.h"
#include "qloft/core/checked.h"
#include "qloft/kernels.h"

namespace qloft::backend {
namespace {

using at::Tensor;

Tensor unpacked(const quant::PackedMatrix& packed) {
  Tensor out = at::empty({packed.rows(), packed.columns()}, at::kFloat);
  quant::dequantize(packed, matrix_of(out));
  return out;
}

}  // namespace

StoredType fastest_factors() {
  return kernels::table().fixed_eight_bits ? StoredType::int8 : StoredType::bf16;
}

LowRank pack(const LowRank& factors) {
  const auto a_in = matrix_of(factors.a), b_in = matrix_of(factors.b);
  const std::int64_t rank = round_up(a_in.rows, kernels::kGroup);
  Matrix a(rank, a_in.columns), b(b_in.rows, rank);
  for (std::int64_t i = 0; i < a_in.rows; ++i) {
    std::copy_n(a_in.row(i), a.columns(), a.view().row(i));
  }
  for (std::int64_t i = 0; i < b_in.rows; ++i) {
    std::copy_n(b_in.row(i), b_in.columns, b.view().row(i));
  }
  LowRank out = factors;
  out.a = out.b = Tensor();
  out.packed = std::make_shared<const PackedFactors>(PackedFactors{
      quant::quantize(a.view(), eight_bits()), quant::quantize(b.view(), eight_bits()), a_in.rows});
  return out;
}

LowRank as_tensors(const LowRank& factors) {
  LowRank out = factors;
  if (factors.packed != nullptr) {
    const std::int64_t rank = factors.packed->rank;
    out.a = unpacked(factors.packed->a).narrow(0, 0, rank);
    out.b = unpacked(factors.packed->b).narrow(1, 0, rank).contiguous();
    out.packed.reset();
  } else if (factors.a.scalar_type() != at::kFloat) {
    out.a = as_f32(factors.a);
    out.b = as_f32(factors.b);
  }
  return out;
}

}  // namespace qloft::backend
