#pragma once
// GPTQ's metric where errors along the rows of an adapter count less.

#include <cstdint>
#include <vector>

#include "coordinates.h"

namespace qloft::decompose {

// Columns that GPTQ feeds back onto each other; what lies before them goes through products.
inline constexpr std::int64_t kFeedbackColumns = 64;

// With R the coordinates' root and v the orthonormal rows of A in them, R T is the root of
// H' = R (I - (1 - weight) v^T v) R^T. T is upper triangular, by blocks J of kFeedbackColumns
// columns: T_ij = v_i^T g_j for rows i above J, `within` for those of J.
struct Discount {
  Matrix v;       // [n, rank]
  Matrix g;       // [n, rank]
  Matrix within;  // [n, kFeedbackColumns]: T_ij at (j, i - first row of J)
  double factor(std::int64_t j) const { return within(j, j % kFeedbackColumns); }
};

// `a` [rank, n] is A in coordinates; 0 < weight < 1.
Discount discount_rows(MatrixView<const float> a, double weight);

}  // namespace qloft::decompose
