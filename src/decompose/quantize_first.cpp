#include <algorithm>
#include <cmath>

#include "parts.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Rows of the next target that are copied and corrected while they are in the cache.
constexpr std::int64_t kRowsAtOnce = 128;

// work.residual <- W - s B A.
void next_target(Work& work, const Decomposition& found) {
  const MatrixView<float> target = work.residual.view();
  parallel_for(target.rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(work.weight.row(i), target.columns, target.row(i));
    }
    const std::int64_t rows = end - begin;
    linalg::multiply(found.b.view().block(begin, 0, rows, found.b.columns()), linalg::Transpose::no,
                     found.a.view(), linalg::Transpose::no,
                     target.block(begin, 0, rows, target.columns),
                     static_cast<float>(-work.recipe.scale), 1.f);
  });
}

// Q from `target`, B A from W - Q, and the two errors; false once nothing is left to improve.
bool step(const Parts& parts, MatrixView<const float> target, Work& work, Decomposition& result) {
  result.q = parts.quantize(target, work);
  const double before = parts.residual(result.q, work);
  const double after = parts.solve(work, before, result);
  result.relative_error.push_back(std::sqrt(std::max(0.0, after)) / work.weight_norm);
  result.svd_residual.push_back(before > 0.0 ? std::sqrt(std::max(0.0, after) / before) : 0.0);
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
    next_target(work, result);
    going = step(parts, work.residual.view(), work, result);
  }
}

}  // namespace qloft::decompose
