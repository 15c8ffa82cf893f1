// The root in which errors along the adapter's rows count less, against its definition.

#include "../../src/decompose/discount.h"

#include <gtest/gtest.h>

#include "qloft/core/random.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// T, element by element.
Matrix triangle(const Discount& discount) {
  const std::int64_t n = discount.v.rows();
  Matrix t(n, n);
  for (std::int64_t j = 0; j < n; ++j) {
    const std::int64_t first = j / kFeedbackColumns * kFeedbackColumns;
    for (std::int64_t i = 0; i < first; ++i) {
      for (std::int64_t k = 0; k < discount.v.columns(); ++k) {
        t(i, j) += discount.v(i, k) * discount.g(j, k);
      }
    }
    for (std::int64_t i = first; i <= j; ++i) t(i, j) = discount.within(j, i - first);
  }
  return t;
}

// More columns than two blocks.
TEST(Discount, GivesTheGramMatrixWithTheErrorsAlongTheRowsOfAMadeLighter) {
  constexpr std::int64_t n = 150, rank = 3;
  constexpr double kWeight = 0.1;
  Random random(3);
  Matrix inputs(200, n), a(rank, n), gram(n, n);
  random.fill_normal(inputs.values());
  random.fill_normal(a.values());
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t s = 0; s < 200; ++s) gram(i, j) += inputs(s, i) * inputs(s, j) / 200;
    }
  }
  const Statistics statistics{.gram = gram, .fisher_rows = {}, .fisher_columns = {}};
  const Coordinates coordinates = gram_coordinates(
      {.rows = 8, .columns = n, .statistics = statistics, .damping = 0.0, .name = "w"});
  Matrix entered = a, root(n, n);
  enter_columns(coordinates, entered.view());
  linalg::multiply(coordinates.root.view(), linalg::Transpose::no,
                   triangle(discount_rows(entered.view(), kWeight)).view(), linalg::Transpose::no,
                   root.view());

  // The norm of a row e of errors: e H' e^T, H' = root root^T in the order of the columns.
  const auto squared = [&](const Matrix& r, const std::vector<double>& e) {
    double sum = 0;
    for (std::int64_t p = 0; p < n; ++p) {
      double part = 0;
      for (std::int64_t k = 0; k <= p; ++k) {
        part +=
            e[static_cast<std::size_t>(coordinates.order[static_cast<std::size_t>(k)])] * r(k, p);
      }
      sum += part * part;
    }
    return sum;
  };
  // e = along A, or orthogonal to A under H.
  for (std::int64_t row = 0; row < rank; ++row) {
    std::vector<double> along(n);
    for (std::int64_t j = 0; j < n; ++j) along[static_cast<std::size_t>(j)] = a(row, j);
    EXPECT_NEAR(squared(root, along) / squared(coordinates.root, along), kWeight, 1e-3);
  }
  std::vector<double> across(n);
  for (double& value : across) value = random.normal();
  // Made orthogonal to the rows of A under H by Gram-Schmidt over rows that are so themselves.
  const auto product = [&](const std::vector<double>& x, const std::vector<double>& y) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        sum += x[static_cast<std::size_t>(i)] * gram(i, j) * y[static_cast<std::size_t>(j)];
      }
    }
    return sum;
  };
  const auto remove = [&](std::vector<double>& x, const std::vector<double>& y) {
    const double factor = product(x, y) / product(y, y);
    for (std::size_t j = 0; j < x.size(); ++j) x[j] -= factor * y[j];
  };
  std::vector<std::vector<double>> basis;
  for (std::int64_t row = 0; row < rank; ++row) {
    std::vector<double> next(n);
    for (std::int64_t j = 0; j < n; ++j) next[static_cast<std::size_t>(j)] = a(row, j);
    for (const auto& one : basis) remove(next, one);
    basis.push_back(next);
  }
  for (const auto& one : basis) remove(across, one);
  EXPECT_NEAR(squared(root, across) / squared(coordinates.root, across), 1.0, 1e-3);
}

}  // namespace
}  // namespace qloft::decompose
