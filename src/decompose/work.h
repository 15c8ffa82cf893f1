#pragma once

#include <optional>

#include "coordinates.h"
#include "int8_matrix.h"
#include "qloft/core.h"
#include "qloft/decompose.h"

namespace qloft::decompose {

// What one decomposition works on, and what its steps keep between iterations.
struct Work {
  MatrixView<const float> weight;
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
  // What GPTQ feeds back by in place of the coordinates' root; empty: that root.
  Matrix feedback;
};

}  // namespace qloft::decompose
