#include "loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "qloft/core.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"
#include "tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits held at once: 64 MiB.
constexpr std::int64_t kLogitsAtOnce = 1 << 24;
constexpr std::int64_t kMostRows = 1024;

// Returns the loss of each row of `logits` and turns the row into softmax - onehot(target).
void loss_of_rows(MatrixView<float> logits, const std::int64_t* targets, double* losses) {
  const kernels::DenseTable& dense = kernels::dense_table();
  parallel_for(logits.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = logits.row(i);
      const float target = row[targets[i]];
      const float largest = dense.largest(row, logits.columns);
      const float sum = dense.exponentials(row, logits.columns, largest);
      losses[i] = std::log(static_cast<double>(sum)) + largest - target;
      const float inverse = 1.f / sum;
      for (std::int64_t j = 0; j < logits.columns; ++j) row[j] *= inverse;
      row[targets[i]] -= 1.f;
    }
  });
}

struct LossFunction : torch::autograd::Function<LossFunction> {
  // `dense` is the head's, for its gradient.
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden,
                        const MaybeTensor& dense_or_none, const Tensor& targets, const Weight& head,
                        bool grad_mode) {
    const Tensor dense = dense_or_none.value_or(Tensor());
    const bool needs_hidden = grad_mode && hidden.requires_grad();
    const bool needs_head = grad_mode && dense.defined() && dense.requires_grad();
    const std::int64_t rows = hidden.size(0);
    Tensor dhidden, dhead;
    if (needs_hidden) dhidden = at::empty_like(hidden);
    if (needs_head) dhead = at::zeros_like(dense, at::kFloat);
    std::vector<double> losses(static_cast<std::size_t>(rows));

    const std::int64_t step = std::clamp<std::int64_t>(kLogitsAtOnce / head.rows(), 1, kMostRows);
    for (std::int64_t first = 0; first < rows; first += step) {
      const std::int64_t count = std::min(step, rows - first);
      const Tensor chunk = hidden.narrow(0, first, count).contiguous();
      Tensor logits = as_f32(multiply_transposed(chunk, head).to(at::kCPU));
      loss_of_rows(matrix_of(logits), targets.data_ptr<std::int64_t>() + first,
                   losses.data() + first);
      if (needs_hidden) {
        dhidden.narrow(0, first, count)
            .copy_(multiply(logits.to(chunk.device(), chunk.scalar_type()), head));
      }
      if (needs_head && dhead.is_cpu()) {
        linalg::multiply(matrix_of(logits), linalg::Transpose::yes, matrix_of(as_f32(chunk)),
                         linalg::Transpose::no, matrix_of(dhead), 1.f, 1.f);
      } else if (needs_head) {
        dhead.addmm_(logits.to(dhead.device()).t(), chunk.to(at::kFloat));
      }
    }
    double sum = 0;
    for (const double loss : losses) sum += loss;
    ctx->save_for_backward({dhidden, dhead});
    return at::scalar_tensor(sum, at::kFloat).to(hidden.device());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto scaled = [&](const Tensor& gradient) {
      return gradient.defined() ? gradient * gradients[0].to(gradient.scalar_type()) : gradient;
    };
    return {scaled(saved[0]), scaled(saved[1]), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor summed_loss(const Tensor& hidden, const Weight& head, const Tensor& targets) {
  return LossFunction::apply(hidden, maybe(head.dense), targets, head, at::GradMode::is_enabled());
}

}  // namespace qloft::model
