#pragma once

#include <memory>
#include <optional>

#include "discount.h"
#include "int8_matrix.h"
#include "qloft/core.h"
#include "qloft/decompose.h"
#include "root_bytes.h"

namespace qloft::decompose {

// The s B A that was taken off W, as GPTQ needs it.
struct TakenProduct {
  Matrix b;                          // s B, [rows, rank]
  Matrix a;                          // [rank, columns], in coordinates
  std::optional<Discount> discount;  // what errors along A count
};

// What one decomposition works on, and what its steps keep between iterations.
struct Work {
  MatrixView<const float> weight;  // or `shifted`, where inputs are
  Matrix shifted;                  // as input_shift.h makes it
  const Recipe& recipe;
  Coordinates coordinates;
  double weight_norm;  // Frobenius, not zero
  double metric_norm;  // of the weight in the metric, not zero
  Random random;
  // [rows, columns]: by turns the quantizer's target W - s B A and the solver's W - Q.
  Matrix residual;
  // Where the solver multiplies in 8 bits: W - Q, in place of `residual`.
  std::optional<Int8Matrix> bytes;
  Matrix basis;  // the solver's right space of the last iteration
  // Of GPTQ: what its target lacks of W; the root for products in 8 bits, where it takes them; and
  // W - Q in coordinates, which its sums of errors are.
  std::optional<TakenProduct> taken;
  std::optional<RootBytes> root_bytes;
  Matrix image;
  std::shared_ptr<class Pieces> pieces;
};

}  // namespace qloft::decompose
