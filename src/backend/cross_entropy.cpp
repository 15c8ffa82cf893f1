#include "qloft/backend/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/logsumexp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels/dense.h"
#include "summed_loss.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Returns the loss of each row of `logits` and turns the row into softmax less the target's
// distribution.
void loss_of_rows(MatrixView<float> logits, const std::int64_t* targets, double smoothing,
                  double* losses) {
  const kernels::DenseTable& dense = kernels::dense_table();
  const auto columns = static_cast<double>(logits.columns);
  parallel_for(logits.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = logits.row(i);
      double target = row[targets[i]];
      if (smoothing != 0) {
        const double mean = std::accumulate(row, row + logits.columns, 0.0) / columns;
        target = (1 - smoothing) * target + smoothing * mean;
      }
      const float largest = dense.largest(row, logits.columns);
      const float sum = dense.exponentials(row, logits.columns, largest);
      losses[i] = std::log(static_cast<double>(sum)) + largest - target;
      const float inverse = 1.f / sum;
      const auto share = static_cast<float>(smoothing / columns);
      for (std::int64_t j = 0; j < logits.columns; ++j) row[j] = row[j] * inverse - share;
      row[targets[i]] -= static_cast<float>(1 - smoothing);
    }
  });
}

// The same by torch's operators, where the logits are.
void loss_of_rows_torch(Tensor& logits, const Tensor& targets, double smoothing, double* losses) {
  const Tensor index = targets.to(logits.device()).unsqueeze(1);
  const Tensor normalizers = at::logsumexp(logits, {1}, true);
  Tensor chosen = logits.gather(1, index);
  if (smoothing != 0) chosen = chosen * (1 - smoothing) + logits.mean(1, true) * smoothing;
  const Tensor each = (normalizers - chosen).to(at::kCPU, at::kDouble);
  std::copy_n(each.data_ptr<double>(), each.numel(), losses);
  logits.sub_(normalizers).exp_();
  if (smoothing != 0) logits.sub_(smoothing / static_cast<double>(logits.size(1)));
  logits.scatter_add_(1, index, at::full_like(normalizers, smoothing - 1));
}

}  // namespace

Tensor summed_cross_entropy(const Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                            const Tensor& targets, const Tensor& product_gradients,
                            double smoothing) {
  return summed_loss(
      hidden, weight, rule,
      [&targets, smoothing](Tensor& logits, std::int64_t first, double* losses) {
        if (logits.is_cpu()) {
          loss_of_rows(matrix_of(logits), targets.data_ptr<std::int64_t>() + first, smoothing,
                       losses);
        } else {
          loss_of_rows_torch(logits, targets.narrow(0, first, logits.size(0)), smoothing, losses);
        }
      },
      product_gradients);
}

}  // namespace qloft::backend
