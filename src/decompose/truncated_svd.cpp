#include <algorithm>
#include <cmath>

#include "qloft/linalg.h"
#include "residual.h"

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

// Products in 8 bits are off by some 1e-4 of the squared norm: where less than this part of it is
// left, the solver goes on in f32.
constexpr double kLeastLeftInBytes = 0.1;

// Where less than this part of the squared norm is left, its difference is mostly rounding.
constexpr double kCancellation = 1e-3;

linalg::LinearMap linear_map(const Int8Matrix& residual, double squared_norm) {
  return {.rows = residual.rows(),
          .columns = residual.columns(),
          .multiply = [&residual](MatrixView<const float> x,
                                  MatrixView<float> out) { residual.multiply(x, out); },
          .multiply_transposed =
              [&residual](MatrixView<const float> x, MatrixView<float> out) {
                residual.multiply_transposed(x, out);
              },
          .squared_norm = squared_norm};
}

bool is_small(MatrixView<const float> weight) {
  return std::min(weight.rows, weight.columns) <= kSmallOrder;
}

linalg::Svd leading_triplets(Work& work, const linalg::LinearMap& residual) {
  const int iterations = is_small(work.weight) ? kSmallIterations
                         : work.basis.empty()  ? kColdIterations
                                               : kWarmIterations;
  return linalg::randomized_svd(
      residual,
      {.rank = work.recipe.rank, .oversampling = kOversampling, .power_iterations = iterations},
      work.random, &work.basis);
}

double captured(const linalg::Svd& parts, std::int64_t rank) {
  double sum = 0.0;
  for (std::int64_t k = 0; k < rank; ++k) {
    const double s = parts.s[static_cast<std::size_t>(k)];
    sum += s * s;
  }
  return sum;
}

linalg::Svd leading_triplets(Work& work, double squared_norm, const Decomposition& result) {
  if (work.recipe.exact_svd) return linalg::svd(work.residual.view());
  if (work.bytes) {
    linalg::Svd parts = leading_triplets(work, linear_map(*work.bytes, squared_norm));
    const double left = squared_norm - captured(parts, work.recipe.rank);
    if (left > kLeastLeftInBytes * squared_norm) return parts;
    work.bytes.reset();
    if (work.coordinates.identity()) take_residual(result.q, work);
  }
  return leading_triplets(work, linalg::linear_map(work.residual.view(), squared_norm));
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

bool multiplies_in_bytes(const Work& work) {
  return !work.recipe.exact_svd && !is_small(work.weight);
}

bool solves_in_bytes(const Work& work) {
  if (work.recipe.low_rank != LowRankSolver::truncated_svd) return false;
  const bool measured = work.coordinates.identity() || work.recipe.quantizer == Quantizer::gptq;
  return measured && multiplies_in_bytes(work);
}

double solve_truncated_svd(Work& work, double squared_norm, Decomposition& result) {
  if (squared_norm == 0.0) {
    std::ranges::fill(result.a.values(), 0.f);
    std::ranges::fill(result.b.values(), 0.f);
    return 0.0;
  }
  const linalg::Svd parts = leading_triplets(work, squared_norm, result);
  for (std::int64_t k = 0; k < work.recipe.rank; ++k) {
    const double s = parts.s[static_cast<std::size_t>(k)];
    const auto share = static_cast<float>(std::sqrt(s / work.recipe.scale));
    for (std::int64_t j = 0; j < result.a.columns(); ++j) result.a(k, j) = share * parts.v(j, k);
    for (std::int64_t i = 0; i < result.b.rows(); ++i) result.b(i, k) = share * parts.u(i, k);
  }
  double left = squared_norm - captured(parts, work.recipe.rank);
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
