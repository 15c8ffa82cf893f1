#include <algorithm>
#include <cmath>
#include <utility>

#include "qloft/linalg.h"
#include "residual.h"

namespace qloft::decompose {
namespace {

// Q from `target`, B A from W - Q, and the errors; false once nothing is left to improve.
bool step(const Steps& steps, MatrixView<const float> target, Work& work, Decomposition& result) {
  result.q = steps.quantize(target, work);
  const double plain =
      work.bytes ? take_residual_in_bytes(result.q, work) : take_residual(result.q, work);
  const double before = enter_metric(work, plain);
  const double after = std::max(0.0, steps.solve(work, before, result));
  double plain_after = after;
  if (!work.coordinates.identity()) {
    plain_after = plain;
    if (work.recipe.low_rank != LowRankSolver::none) {
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

void run_once(const Steps& steps, Work& work, Decomposition& result) {
  step(steps, work.weight, work, result);
}

// LoftQ, algorithm 1: Q_t = q(W - B_{t-1} A_{t-1}), then B_t A_t from the SVD of W - Q_t.
void run_quantize_first(const Steps& steps, Work& work, Decomposition& result) {
  if (solves_in_bytes(work)) work.bytes.emplace(work.weight.rows, work.weight.columns);
  bool going = step(steps, work.weight, work, result);
  for (int t = 1; going && t < work.recipe.iterations; ++t) {
    take_target(work, result);
    going = step(steps, work.residual.view(), work, result);
  }
}

// The error wavers where codes are chosen together (a trellis code's all change with one of them),
// so that a single rise is no sign of the end.
void run_quantize_until_best(const Steps& steps, Work& work, Decomposition& result) {
  constexpr int kRises = 4;
  const bool discounts =
      work.recipe.quantizer == Quantizer::gptq && work.recipe.adapter_weight < 1.0;
  bool going = step(steps, work.weight, work, result);
  Decomposition best = result;
  for (int t = 1, rises = 0; going && t < work.recipe.iterations && rises < kRises; ++t) {
    if (discounts) {
      work.feedback =
          discounted_root(work.coordinates, result.a.view(), work.recipe.adapter_weight);
    }
    take_target(work, result);
    going = step(steps, work.residual.view(), work, result);
    const bool better = result.metric_error.back() < best.metric_error.back();
    rises = better ? 0 : rises + 1;
    if (better) {
      best = result;
      continue;
    }
    result.relative_error.pop_back();
    result.metric_error.pop_back();
    result.svd_residual.pop_back();
  }
  result = std::move(best);
}

}  // namespace qloft::decompose
