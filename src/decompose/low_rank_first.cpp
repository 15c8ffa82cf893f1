#include <cmath>
#include <utility>

#include "qloft/linalg.h"
#include "residual.h"

namespace qloft::decompose {

// LQ-LoRA, algorithm 2: B_t A_t from the SVD of W - Q_{t-1} (Q_0 = 0), then Q_t = q(W - B_t A_t);
// ends when the error in the metric rises, and keeps the best (its implementation returns the
// last).
void run_low_rank_first(const Steps& steps, Work& work, Decomposition& result) {
  Decomposition next;
  next.a = Matrix(result.a.rows(), result.a.columns());
  next.b = Matrix(result.b.rows(), result.b.columns());
  for (int t = 0; t < work.recipe.iterations; ++t) {
    double plain = 0;
    if (t == 0) {
      take_weight(work);
      plain = work.weight_norm * work.weight_norm;
    } else {
      plain = take_residual(result.q, work);
    }
    const double before = enter_metric(work, plain);
    const double left = steps.solve(work, before, next);
    take_weight(work);
    subtract_product(work, next);
    next.q = steps.quantize(work.residual.view(), work);
    take_residual(next.q, work);
    subtract_product(work, next);
    const double plain_after = linalg::squared_norm(work.residual.view());
    const double after = enter_metric(work, plain_after);
    if (t > 0 && std::sqrt(after) / work.metric_norm >= result.metric_error.back()) return;
    record(work, plain_after, after, result);
    result.svd_residual.push_back(before > 0.0 ? std::sqrt(std::max(0.0, left) / before) : 0.0);
    std::swap(result.q, next.q);
    std::swap(result.a, next.a);
    std::swap(result.b, next.b);
  }
}

}  // namespace qloft::decompose
