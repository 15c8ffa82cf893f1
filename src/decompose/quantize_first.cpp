#include <algorithm>
#include <cmath>
#include <utility>

#include "qloft/linalg.h"
#include "residual.h"

namespace qloft::decompose {
namespace {

// Q from `target`, B A from W - Q, and the errors; false once nothing is left to improve.
bool step(const Parts& parts, MatrixView<const float> target, Work& work, Decomposition& result) {
  result.q = parts.quantize(target, work);
  const double plain = take_residual(result.q, work);
  const double before = enter_metric(work, plain);
  const double after = std::max(0.0, parts.solve(work, before, result));
  double plain_after = after;
  if (!work.coordinates.identity()) {
    plain_after = plain;
    if (work.recipe.low_rank != LowRank::none) {
      take_residual(result.q, work);
      subtract_product(work, result);
      plain_after = linalg::squared_norm(work.residual.view());
    }
  }
  record(work, plain_after, after, result);
  result.svd_residual.push_back(before > 0.0 ? std::sqrt(after / before) : 0.0);
  return before > 0.0;
}

}  // namespace

void run_once(const Parts& parts, Work& work, Decomposition& result) {
  step(parts, work.weight, work, result);
}

// LoftQ, algorithm 1: Q_t = q(W - B_{t-1} A_{t-1}), then B_t A_t from the SVD of W - Q_t.
void run_quantize_first(const Parts& parts, Work& work, Decomposition& result) {
  bool going = step(parts, work.weight, work, result);
  for (int t = 1; going && t < work.recipe.iterations; ++t) {
    take_weight(work);
    subtract_product(work, result);
    going = step(parts, work.residual.view(), work, result);
  }
}

void run_quantize_until_best(const Parts& parts, Work& work, Decomposition& result) {
  bool going = step(parts, work.weight, work, result);
  for (int t = 1; going && t < work.recipe.iterations; ++t) {
    take_weight(work);
    subtract_product(work, result);
    Decomposition next = result;
    going = step(parts, work.residual.view(), work, next);
    if (next.metric_error.back() >= result.metric_error.back()) return;
    result = std::move(next);
  }
}

}  // namespace qloft::decompose
