#pragma once
#include <ATen/ops/empty.h>

#include "qloft/core.h"
#include "qloft/quant.h"

namespace qloft::test {

// Normal values by `format`.
inline quant::PackedMatrix packed_matrix(std::int64_t rows, std::int64_t columns,
                                         const quant::Format& format = {}) {
  Matrix weight(rows, columns);
  Random(11).fill_normal(weight.values(), 0.f, 0.3f);
  return quant::quantize(weight.view(), format);
}

inline at::Tensor dequantized(const quant::PackedMatrix& packed) {
  at::Tensor out = at::empty({packed.rows(), packed.columns()});
  quant::dequantize(packed,
                    MatrixView<float>(out.data_ptr<float>(), packed.rows(), packed.columns()));
  return out;
}

}  // namespace qloft::test
