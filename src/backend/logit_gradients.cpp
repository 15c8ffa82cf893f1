#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logsumexp.h>

#include <algorithm>

#include "logits_rule.h"
#include "qloft/backend/cross_entropy.h"
#include "qloft/backend/tensor.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Logits of all rows, of outputs [first, first + count): f32, where `hidden` (f32) is.
Tensor logits_of(const Tensor& hidden, const Tensor& down, const Weight& weight,
                 const LogitsRule& rule, std::int64_t first, std::int64_t count) {
  const Tensor ids = at::arange(first, first + count, hidden.options().dtype(at::kLong));
  Tensor logits = hidden.mm(look_up(weight, ids, at::kFloat).t());
  if (rule.factors) {
    logits.addmm_(down, rule.factors->b.narrow(0, first, count).t(), 1, rule.factors->scale);
  }
  if (rule.bias.defined()) logits.add_(rule.bias.narrow(0, first, count).to(logits.device()));
  return apply_multiplier_and_cap(rule, logits);
}

}  // namespace

void logit_gradients(const Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                     const Tensor& targets, double scale, std::int64_t outputs_at_once,
                     const LogitGradientSink& sink) {
  const at::NoGradGuard no_grad;
  const Tensor states = as_f32(hidden);
  const Tensor down = rule.factors ? states.mm(rule.factors->a.t()) : Tensor();
  const std::int64_t outputs = weight.rows();
  const auto each_slice = [&](const auto& use) {
    for (std::int64_t first = 0; first < outputs; first += outputs_at_once) {
      const std::int64_t count = std::min(outputs_at_once, outputs - first);
      use(first, count, logits_of(states, down, weight, rule, first, count));
    }
  };
  Tensor normalizers;  // log of the sum of exponentials, a row
  each_slice([&](std::int64_t, std::int64_t, const Tensor& logits) {
    const Tensor part = at::logsumexp(logits, {1}, true);
    normalizers = normalizers.defined() ? at::logaddexp(normalizers, part) : part;
  });
  each_slice([&](std::int64_t first, std::int64_t count, const Tensor& logits) {
    Tensor gradient = (logits - normalizers).exp_().to(at::kCPU);
    const MatrixView<float> rows = matrix_of(gradient);
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      const std::int64_t target = targets.data_ptr<std::int64_t>()[i] - first;
      if (target >= 0 && target < count) rows.row(i)[target] -= 1.f;
    }
    through_multiplier_and_cap(rule, logits.to(at::kCPU), gradient);
    gradient.mul_(scale);
    sink(matrix_of(gradient), first);
  });
}

}  // namespace qloft::backend
