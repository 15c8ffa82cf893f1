#include <algorithm>
#include <cmath>

#include "qloft/linalg.h"
#include "steps.h"

namespace qloft::decompose {
namespace {

constexpr std::int64_t kOversampling = 8;

// Power iterations of a cold and of a warm start (docs/methods/loftq.md has what they cost in
// error). A small matrix gets more: there each singular vector counts for more, and they cost
// nothing.
constexpr std::int64_t kSmallOrder = 512;
constexpr int kSmallIterations = 6;
constexpr int kColdIterations = 3;
constexpr int kWarmIterations = 2;

// Where less than this part of the squared norm is left, its difference is mostly rounding.
constexpr double kCancellation = 1e-3;

linalg::Svd leading_triplets(Work& work) {
  const MatrixView<const float> residual = work.residual.view();
  const std::int64_t rank = work.recipe.rank;
  if (work.recipe.exact_svd) {
    return linalg::svd(residual);
  }
  const bool small = std::min(residual.rows, residual.columns) <= kSmallOrder;
  const int iterations = small                ? kSmallIterations
                         : work.basis.empty() ? kColdIterations
                                              : kWarmIterations;
  return linalg::randomized_svd(
      residual, {.rank = rank, .oversampling = kOversampling, .power_iterations = iterations},
      work.random, &work.basis);
}

// Column k of B as long as row k of A, their product kept.
void balance(Decomposition& result) {
  for (std::int64_t k = 0; k < result.a.rows(); ++k) {
    double of_a = 0.0, of_b = 0.0;
    for (std::int64_t j = 0; j < result.a.columns(); ++j) {
      of_a += static_cast<double>(result.a(k, j)) * result.a(k, j);
    }
    for (std::int64_t i = 0; i < result.b.rows(); ++i) {
      of_b += static_cast<double>(result.b(i, k)) * result.b(i, k);
    }
    if (!(of_a > 0.0) || !(of_b > 0.0)) continue;
    const auto factor = static_cast<float>(std::pow(of_b / of_a, 0.25));
    for (std::int64_t j = 0; j < result.a.columns(); ++j) result.a(k, j) *= factor;
    for (std::int64_t i = 0; i < result.b.rows(); ++i) result.b(i, k) /= factor;
  }
}

}  // namespace

double solve_truncated_svd(Work& work, double squared_norm, Decomposition& result) {
  if (squared_norm == 0.0) {
    std::ranges::fill(result.a.values(), 0.f);
    std::ranges::fill(result.b.values(), 0.f);
    return 0.0;
  }
  const linalg::Svd parts = leading_triplets(work);
  double captured = 0.0;
  for (std::int64_t k = 0; k < work.recipe.rank; ++k) {
    const double s = parts.s[static_cast<std::size_t>(k)];
    captured += s * s;
    const auto share = static_cast<float>(std::sqrt(s / work.recipe.scale));
    for (std::int64_t j = 0; j < result.a.columns(); ++j) result.a(k, j) = share * parts.v(j, k);
    for (std::int64_t i = 0; i < result.b.rows(); ++i) result.b(i, k) = share * parts.u(i, k);
  }
  double left = squared_norm - captured;
  if (left <= kCancellation * squared_norm) {
    linalg::multiply(result.b.view(), linalg::Transpose::no, result.a.view(), linalg::Transpose::no,
                     work.residual.view(), static_cast<float>(-work.recipe.scale), 1.f);
    left = linalg::squared_norm(work.residual.view());
  }
  if (!work.coordinates.identity()) {
    leave_columns(work.coordinates, result.a.view());
    leave_rows(work.coordinates, result.b.view());
    balance(result);
  }
  return left;
}

}  // namespace qloft::decompose
