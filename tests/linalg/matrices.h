#pragma once
// Matrices with known properties for the tests of linalg.

#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/core.h"
#include "qloft/linalg.h"

namespace qloft::linalg {

inline Matrix normal_matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed = 1) {
  Matrix a(rows, columns);
  Random(seed).fill_normal(a.values());
  return a;
}

// The product as three loops in f64.
inline Matrix product(MatrixView<const float> a, bool transpose_a, MatrixView<const float> b,
                      bool transpose_b) {
  const std::int64_t inner = transpose_a ? a.rows : a.columns;
  Matrix c(transpose_a ? a.columns : a.rows, transpose_b ? b.rows : b.columns);
  for (std::int64_t i = 0; i < c.rows(); ++i) {
    for (std::int64_t j = 0; j < c.columns(); ++j) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < inner; ++k) {
        sum += static_cast<double>(transpose_a ? a(k, i) : a(i, k)) *
               (transpose_b ? b(j, k) : b(k, j));
      }
      c(i, j) = static_cast<float>(sum);
    }
  }
  return c;
}

inline double largest_difference(MatrixView<const float> a, MatrixView<const float> b) {
  double largest = 0.0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) {
      largest = std::max(largest, std::fabs(static_cast<double>(a(i, j)) - b(i, j)));
    }
  }
  return largest;
}

// Largest entry of |q^T q - 1|.
inline double distance_from_orthonormal(MatrixView<const float> q) {
  Matrix g = product(q, true, q, false);
  for (std::int64_t i = 0; i < g.rows(); ++i) g(i, i) -= 1.f;
  return largest_difference(g.view(), Matrix(g.rows(), g.columns()).view());
}

// u diag(s) v^T.
inline Matrix reconstruct(const Svd& parts) {
  Matrix scaled = parts.u;
  for (std::int64_t i = 0; i < scaled.rows(); ++i) {
    for (std::int64_t j = 0; j < scaled.columns(); ++j) {
      scaled(i, j) *= parts.s[static_cast<std::size_t>(j)];
    }
  }
  return product(scaled.view(), false, parts.v.view(), true);
}

// A matrix with the given singular values.
inline Matrix with_spectrum(std::int64_t rows, std::int64_t columns, const std::vector<float>& s,
                            std::uint64_t seed = 3) {
  const auto k = static_cast<std::int64_t>(s.size());
  Svd parts{normal_matrix(rows, k, seed), s, normal_matrix(columns, k, seed + 1)};
  orthonormalize(parts.u.view());
  orthonormalize(parts.v.view());
  return reconstruct(parts);
}

}  // namespace qloft::linalg
