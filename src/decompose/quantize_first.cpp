#include <algorithm>
#include <cmath>
#include <utility>

#include "qloft/linalg.h"
#include "residual.h"

namespace qloft::decompose {
namespace {

// W - Q in coordinates, as work.residual or work.bytes; its squared norm there, and the plain one
// where it is known.
struct Entered {
  double squared = 0;
  std::optional<double> plain;
};
Entered enter_residual(const Decomposition& result, Work& work) {
  if (work.recipe.quantizer == Quantizer::gptq) {  // which has multiplied its errors already
    std::swap(work.residual, work.image);
    return {work.bytes ? to_bytes(work) : linalg::squared_norm(work.residual.view()), {}};
  }
  const double plain =
      work.bytes ? take_residual_in_bytes(result.q, work) : take_residual(result.q, work);
  return {enter_metric(work, plain), plain};
}

// Q from `target`, B A from W - Q, and the errors; false once nothing is left to improve. Leaves
// W - s B A as work.residual where the metric is not the plain norm.
bool step(const Steps& steps, MatrixView<const float> target, Work& work, Decomposition& result) {
  result.q = steps.quantize(target, work);
  const Entered entered = enter_residual(result, work);
  const double before = entered.squared;
  const double after = std::max(0.0, steps.solve(work, before, result));
  double plain_after = after;
  if (!work.coordinates.identity()) {
    if (work.recipe.low_rank == LowRankSolver::none) {
      plain_after = entered.plain ? *entered.plain : squared_distance(work.weight, result.q);
    } else {
      take_target(work, result);
      plain_after = squared_distance(work.residual.view(), result.q);
    }
  }
  record(work, plain_after, after, result);
  result.svd_residual.push_back(before > 0.0 ? std::sqrt(after / before) : 0.0);
  return before > 0.0;
}

// What GPTQ is told of s B A, which its target lacks.
TakenProduct taken(const Work& work, const Decomposition& result) {
  TakenProduct out;
  out.b = result.b;
  for (float& value : out.b.values()) value *= static_cast<float>(work.recipe.scale);
  out.a = result.a;
  enter_columns(work.coordinates, out.a.view());
  if (work.recipe.adapter_weight < 1.0) {
    out.discount = discount_rows(out.a.view(), work.recipe.adapter_weight);
  }
  return out;
}

// What the first turn is to quantize: W less the s B A that the loop begins with, in `result`.
MatrixView<const float> first_target(const Steps& steps, Work& work, Decomposition& result) {
  const double part = work.recipe.low_rank_start;
  if (part == 0.0) return work.weight;
  steps.solve(work, take_weight_in_metric(work), result);
  for (float& value : result.b.values()) value *= static_cast<float>(part);
  take_target(work, result);
  if (work.recipe.quantizer == Quantizer::gptq) work.taken = taken(work, result);
  return work.residual.view();
}

}  // namespace

void run_once(const Steps& steps, Work& work, Decomposition& result) {
  if (solves_in_bytes(work)) work.bytes.emplace(work.weight.rows, work.weight.columns);
  step(steps, work.weight, work, result);
}

// LoftQ, algorithm 1: Q_t = q(W - B_{t-1} A_{t-1}), then B_t A_t from the SVD of W - Q_t. B_0 A_0
// is zero there; with a start it is a part of the best there is for W.
void run_quantize_first(const Steps& steps, Work& work, Decomposition& result) {
  const MatrixView<const float> target = first_target(steps, work, result);
  if (solves_in_bytes(work)) work.bytes.emplace(work.weight.rows, work.weight.columns);
  bool going = step(steps, target, work, result);
  for (int t = 1; going && t < work.recipe.iterations; ++t) {
    if (work.coordinates.identity()) take_target(work, result);
    going = step(steps, work.residual.view(), work, result);
  }
}

// The error wavers where codes are chosen together (a trellis code's all change with one of them),
// so that a single rise is no sign of the end.
void run_quantize_until_best(const Steps& steps, Work& work, Decomposition& result) {
  constexpr int kRises = 4;
  const MatrixView<const float> target = first_target(steps, work, result);
  if (solves_in_bytes(work)) work.bytes.emplace(work.weight.rows, work.weight.columns);
  bool going = step(steps, target, work, result);
  Decomposition best = result;
  for (int t = 1, rises = 0; going && t < work.recipe.iterations && rises < kRises; ++t) {
    if (work.recipe.quantizer == Quantizer::gptq) work.taken = taken(work, result);
    if (work.coordinates.identity()) take_target(work, result);
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
