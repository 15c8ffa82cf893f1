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

// Logits of all rows, of outputs [first, first + count): f32, where `hidden` is.
Tensor logits_of(const Tensor& hidden, const Tensor& down, const Weight& weight,
                 const LogitsRule& rule, std::int64_t first, std::int64_t count) {
  const Tensor ids = at::arange(first, first + count, hidden.options().dtype(at::kLong));
  const Weight slice{look_up(weight, ids, hidden.scalar_type())};
  Tensor logits = as_f32(multiply_transposed(hidden, slice));
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
  const Tensor states = hidden.contiguous();
  const Tensor down = rule.factors ? as_f32(states).mm(rule.factors->a.t()) : Tensor();
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
  const Tensor rows_targets = targets.to(states.device()).unsqueeze(1);
  each_slice([&](std::int64_t first, std::int64_t count, const Tensor& logits) {
    Tensor gradient = (logits - normalizers).exp_();
    const Tensor target = rows_targets - first;
    const Tensor inside = (target >= 0).logical_and_(target < count);
    gradient.scatter_add_(1, target.clamp(0, count - 1), -inside.to(at::kFloat));
    through_multiplier_and_cap(rule, logits, gradient);
    sink(gradient.mul_(scale).to(states.scalar_type()), first);
  });
}

}  // namespace qloft::backend
