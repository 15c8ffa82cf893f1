#include "discount.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

// Upper triangular t with t t^T = m [count, count], its columns from the last to the first. No
// square of its diagonal is below `least`, which exact arithmetic does not allow either.
std::vector<double> upper_factor(const Matrix& m, std::int64_t count, double least) {
  const auto at = [count](std::int64_t i, std::int64_t j) {
    return static_cast<std::size_t>(i * count + j);
  };
  std::vector<double> t(static_cast<std::size_t>(count * count));
  for (std::int64_t j = count; j-- > 0;) {
    for (std::int64_t i = 0; i <= j; ++i) {
      double left = m(i, j);
      for (std::int64_t l = j + 1; l < count; ++l) left -= t[at(i, l)] * t[at(j, l)];
      t[at(i, j)] = left;
    }
    const double d = std::sqrt(std::max(least, t[at(j, j)]));
    t[at(j, j)] = d;
    for (std::int64_t i = 0; i < j; ++i) t[at(i, j)] /= d;
  }
  return t;
}

}  // namespace

// With c = 1 - weight and S = (I - c sum of v_l v_l^T over the columns l behind J)^-1:
//
//   T_JJ T_JJ^T = I - c V_J S V_J^T,  G_J = -c T_JJ^-1 V_J S,  S <- S + G_J^T G_J / c,
//
// the blocks J going from the last to the first. So R T takes rank * n products for a row of errors
// that R has taken already, instead of another factorization and another product.
Discount discount_rows(MatrixView<const float> a, double weight) {
  const std::int64_t n = a.columns, rank = a.rows;
  Discount out{Matrix(n, rank), Matrix(n, rank), Matrix(n, kFeedbackColumns)};
  for (std::int64_t k = 0; k < rank; ++k) {
    for (std::int64_t j = 0; j < n; ++j) out.v(j, k) = a(k, j);
  }
  linalg::orthonormalize(out.v.view());

  const auto c = static_cast<float>(1 - weight);
  Matrix s(rank, rank);
  for (std::int64_t k = 0; k < rank; ++k) s(k, k) = 1.f;
  for (std::int64_t first = (n - 1) / kFeedbackColumns * kFeedbackColumns; first >= 0;
       first -= kFeedbackColumns) {
    const std::int64_t count = std::min(kFeedbackColumns, n - first);
    const MatrixView<const float> v = out.v.view().block(first, 0, count, rank);
    const MatrixView<float> g = out.g.view().block(first, 0, count, rank);
    linalg::multiply_serial(v, Transpose::no, s.view(), Transpose::no, g, -c);
    Matrix m(count, count);
    linalg::multiply_serial(g, Transpose::no, v, Transpose::yes, m.view());
    for (std::int64_t i = 0; i < count; ++i) m(i, i) += 1.f;
    const std::vector<double> t = upper_factor(m, count, weight);
    const auto at = [&](std::int64_t i, std::int64_t j) {
      return static_cast<float>(t[static_cast<std::size_t>(i * count + j)]);
    };
    for (std::int64_t i = count; i-- > 0;) {
      float* row = g.row(i);
      for (std::int64_t l = i + 1; l < count; ++l) {
        for (std::int64_t k = 0; k < rank; ++k) row[k] -= at(i, l) * g(l, k);
      }
      for (std::int64_t k = 0; k < rank; ++k) row[k] /= at(i, i);
    }
    linalg::multiply_serial(g, Transpose::yes, g, Transpose::no, s.view(), 1.f / c, 1.f);
    for (std::int64_t j = 0; j < count; ++j) {
      for (std::int64_t i = 0; i <= j; ++i) out.within(first + j, i) = at(i, j);
    }
  }
  return out;
}

}  // namespace qloft::decompose
