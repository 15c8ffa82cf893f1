#include <algorithm>
#include <cmath>
#include <vector>

#include "coordinates.h"
#include "qloft/core/matrix.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

constexpr std::int64_t kColumnsABlock = 128;

}  // namespace

// With v [rank, n] the orthonormal rows of A in coordinates and c = 1 - weight, the root is R T
// with T upper triangular and T T^T = I - c v^T v, whose columns follow from the last to the first:
//
//   d_j = 1 - c v_j^T S v_j,  T_jj = sqrt(d_j),  T_ij = v_i^T g_j with g_j = -c S v_j / sqrt(d_j),
//   S <- S + c (S v_j)(S v_j)^T / d_j,  S = I at first,
//
// v_j being column j of v: so R T takes rank * n^2 products instead of another factorization. They
// go by blocks of columns J: (R T)_J = P g_J + R_J T_JJ, P = sum of R_l v_l^T over the columns l
// before J.
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
  std::vector<float> diagonal(n);
  Matrix g(a.columns, a.rows);
  for (std::size_t j = n; j-- > 0;) {
    const float* vj = v.data() + j * rank;
    std::ranges::fill(sv, 0.0);
    for (std::size_t l = 0; l < rank; ++l) {  // S is symmetric
      for (std::size_t k = 0; k < rank; ++k) sv[k] += s[l * rank + k] * vj[l];
    }
    double product = 0;
    for (std::size_t k = 0; k < rank; ++k) product += sv[k] * vj[k];
    // Not below what exact arithmetic allows.
    const double d = std::max(weight, 1 - c * product);
    diagonal[j] = static_cast<float>(std::sqrt(d));
    for (std::size_t k = 0; k < rank; ++k) {
      g.data()[j * rank + k] = static_cast<float>(-c * sv[k] / std::sqrt(d));
      for (std::size_t l = 0; l < rank; ++l) s[k * rank + l] += c * sv[k] * sv[l] / d;
    }
  }

  using linalg::Transpose;
  const MatrixView<const float> root = coordinates.root.view();
  Matrix out(a.columns, a.columns);
  Matrix before(a.columns, a.rows);  // P; its rows below a block are 0
  for (std::int64_t first = 0; first < a.columns; first += kColumnsABlock) {
    const std::int64_t count = std::min(kColumnsABlock, a.columns - first);
    const std::int64_t rows = first + count;  // R has none below
    const MatrixView<const float> v_block = v.view().block(first, 0, count, a.rows);
    const MatrixView<const float> g_block = g.view().block(first, 0, count, a.rows);
    Matrix t(count, count);
    linalg::multiply(v_block, Transpose::no, g_block, Transpose::yes, t.view());
    for (std::int64_t i = 0; i < count; ++i) {
      std::fill_n(&t(i, 0), i, 0.f);
      t(i, i) = diagonal[static_cast<std::size_t>(first + i)];
    }
    const MatrixView<float> columns = out.view().block(0, first, rows, count);
    linalg::multiply(before.view().block(0, 0, rows, a.rows), Transpose::no, g_block,
                     Transpose::yes, columns);
    linalg::multiply(root.block(0, first, rows, count), Transpose::no, t.view(), Transpose::no,
                     columns, 1.f, 1.f);
    linalg::multiply(root.block(0, first, rows, count), Transpose::no, v_block, Transpose::no,
                     before.view().block(0, 0, rows, a.rows), 1.f, 1.f);
  }
  return out;
}

}  // namespace qloft::decompose
