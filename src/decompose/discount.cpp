#include <algorithm>
#include <cmath>
#include <vector>

#include "coordinates.h"
#include "qloft/core.h"
#include "qloft/linalg.h"

namespace qloft::decompose {

// With v [rank, n] the orthonormal rows of A in coordinates and c = 1 - weight, the root is R T
// with T upper triangular and T T^T = I - c v^T v, whose columns follow from the last to the first:
//
//   d_j = 1 - c v_j^T S v_j,  T_jj = sqrt(d_j),  T_ij = v_i^T g_j with g_j = -c S v_j / sqrt(d_j),
//   S <- S + c (S v_j)(S v_j)^T / d_j,  S = I at first,
//
// v_j being column j of v: so R T takes rank * n^2 products instead of another factorization.
Matrix discounted_root(const Coordinates& coordinates, MatrixView<const float> a, double weight) {
  Matrix entered(a.rows, a.columns);
  for (std::int64_t k = 0; k < a.rows; ++k) std::copy_n(a.row(k), a.columns, &entered(k, 0));
  enter_columns(coordinates, entered.view());
  const auto n = static_cast<std::size_t>(a.columns), rank = static_cast<std::size_t>(a.rows);
  Matrix v(a.columns, a.rows);
  for (std::int64_t j = 0; j < a.columns; ++j) {
    for (std::int64_t k = 0; k < a.rows; ++k) v(j, k) = entered(k, j);
  }
  linalg::orthonormalize(v.view());

  const double c = 1 - weight;
  std::vector<double> s(rank * rank), sv(rank);
  for (std::size_t k = 0; k < rank; ++k) s[k * rank + k] = 1;
  std::vector<float> diagonal(n), g(n * rank);
  for (std::size_t j = n; j-- > 0;) {
    const float* vj = v.data() + j * rank;
    double product = 0;
    for (std::size_t k = 0; k < rank; ++k) {
      sv[k] = 0;
      for (std::size_t l = 0; l < rank; ++l) sv[k] += s[k * rank + l] * vj[l];
      product += sv[k] * vj[k];
    }
    // Not below what exact arithmetic allows.
    const double d = std::max(weight, 1 - c * product);
    diagonal[j] = static_cast<float>(std::sqrt(d));
    for (std::size_t k = 0; k < rank; ++k) {
      g[j * rank + k] = static_cast<float>(-c * sv[k] / std::sqrt(d));
      for (std::size_t l = 0; l < rank; ++l) s[k * rank + l] += c * sv[k] * sv[l] / d;
    }
  }

  Matrix out(a.columns, a.columns);
  parallel_for(a.columns, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> sum(rank);
    for (std::int64_t i = begin; i < end; ++i) {
      const float* root = coordinates.root.data() + i * a.columns;
      std::ranges::fill(sum, 0.f);
      for (auto j = static_cast<std::size_t>(i); j < n; ++j) {
        float product = 0;
        for (std::size_t k = 0; k < rank; ++k) {
          product += sum[k] * g[j * rank + k];
          sum[k] += root[j] * v.data()[j * rank + k];
        }
        out(i, static_cast<std::int64_t>(j)) = diagonal[j] * root[j] + product;
      }
    }
  });
  return out;
}

}  // namespace qloft::decompose
