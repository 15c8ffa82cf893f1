#include "summed_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "dropout.h"
#include "logits_rule.h"
#include "operations.h"
#include "qloft/backend/tensor.h"
#include "qloft/linalg.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits held at once: 64 MiB.
constexpr std::int64_t kLogitsAtOnce = 1 << 24;
constexpr std::int64_t kMostRows = 1024;

struct SummedLossFunction : torch::autograd::Function<SummedLossFunction> {
  // `trained`: weight, bias, A and B, for their gradients; each may be undefined.
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const MaybeTensor& dense,
                        const MaybeTensor& bias, const MaybeTensor& a, const MaybeTensor& b,
                        const MaybeTensor& product_gradients, const Weight& weight,
                        const LogitsRule& rule, const LossOfRows& loss, bool grad_mode) {
    const auto wants = [&](const MaybeTensor& tensor) {
      return grad_mode && tensor && tensor->requires_grad();
    };
    const bool needs_hidden = grad_mode && hidden.requires_grad();
    const LowRankOperations::Wanted wanted{needs_hidden, wants(a), wants(b)};
    Tensor dhidden = needs_hidden ? at::empty_like(hidden) : Tensor();
    Tensor dweight = wants(dense) ? at::zeros_like(*dense, at::kFloat) : Tensor();
    Tensor dbias = wants(bias) ? at::zeros_like(*bias) : Tensor();
    Tensor da = wanted.a ? at::zeros_like(*a) : Tensor();
    Tensor db = wanted.b ? at::zeros_like(*b) : Tensor();
    const bool drops = rule.factors && rule.dropout_seed != 0 && rule.factors->dropout > 0;
    const Tensor dropped = drops ? dropout(as_f32(hidden), rule.factors->dropout, rule.dropout_seed)
                                       .to(hidden.scalar_type())
                                 : hidden;
    Tensor dropped_gradient = drops && needs_hidden ? at::zeros_like(hidden, at::kFloat) : Tensor();

    const std::int64_t rows = hidden.size(0);
    std::vector<double> losses(static_cast<std::size_t>(rows));
    const std::int64_t step = std::clamp<std::int64_t>(kLogitsAtOnce / weight.rows(), 1, kMostRows);
    for (std::int64_t first = 0; first < rows; first += step) {
      const std::int64_t count = std::min(step, rows - first);
      const Tensor chunk = hidden.narrow(0, first, count).contiguous();
      const Tensor input = drops ? dropped.narrow(0, first, count).contiguous() : chunk;
      Tensor product = multiply_transposed(chunk, weight);
      Tensor h;
      if (rule.factors) {
        h = operations_for(chunk).low_rank.add(product, input, *rule.factors);
      }
      Tensor logits = as_f32(product);
      if (rule.bias.defined()) logits.add_(rule.bias.to(logits.device()));
      logits = apply_multiplier_and_cap(rule, logits);
      const bool needs_gradients = grad_mode || product_gradients;
      const Tensor capped = rule.soft_cap != 0 && needs_gradients ? logits.clone() : Tensor();
      loss(logits, first, losses.data() + first);
      if (!needs_gradients) continue;
      through_multiplier_and_cap(rule, capped, logits);
      const Tensor dlogits = logits.to(chunk.device(), chunk.scalar_type());
      if (product_gradients) product_gradients->narrow(0, first, count).copy_(dlogits);
      Tensor dchunk = needs_hidden ? multiply(dlogits, weight) : Tensor();
      if (rule.factors && (wanted.x || wanted.a || wanted.b)) {
        auto out = operations_for(chunk).low_rank.backward(dlogits, input, h, rule.factors->a,
                                                           rule.factors->b, rule.factors->scale,
                                                           wanted, drops ? Tensor() : dchunk);
        if (wanted.a) da.add_(out.da);
        if (wanted.b) db.add_(out.db);
        if (wanted.x && !drops) dchunk = out.dx;
        if (wanted.x && drops) dropped_gradient.narrow(0, first, count).copy_(out.dx);
      }
      if (needs_hidden) dhidden.narrow(0, first, count).copy_(dchunk);
      if (dbias.defined()) dbias.add_(logits.sum(0).to(dbias.device()));
      if (dweight.defined() && dweight.is_cpu()) {
        linalg::multiply(matrix_of(logits), linalg::Transpose::yes, matrix_of(as_f32(chunk)),
                         linalg::Transpose::no, matrix_of(dweight), 1.f, 1.f);
      } else if (dweight.defined()) {
        dweight.addmm_(logits.to(dweight.device()).t(), chunk.to(at::kFloat));
      }
    }
    if (dropped_gradient.defined()) {
      dhidden.add_(dropout(dropped_gradient, rule.factors->dropout, rule.dropout_seed));
    }
    double sum = 0;
    for (const double each : losses) sum += each;
    ctx->save_for_backward({dhidden, dweight, dbias, da, db});
    return at::scalar_tensor(sum, at::kFloat).to(hidden.device());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    variable_list out = ctx->get_saved_variables();
    for (Tensor& gradient : out) {
      if (gradient.defined()) gradient = gradient * gradients[0].to(gradient.scalar_type());
    }
    out.resize(10);  // product_gradients, weight, rule, loss and mode have none
    return out;
  }
};

}  // namespace

Tensor apply_multiplier_and_cap(const LogitsRule& rule, Tensor logits) {
  if (rule.multiplier != 1) logits.mul_(rule.multiplier);
  if (rule.soft_cap != 0) logits.div_(rule.soft_cap).tanh_().mul_(rule.soft_cap);
  return logits;
}

void through_multiplier_and_cap(const LogitsRule& rule, const Tensor& logits, Tensor& gradient) {
  if (rule.soft_cap != 0) gradient.mul_(1 - (logits / rule.soft_cap).square());
  if (rule.multiplier != 1) gradient.mul_(rule.multiplier);
}

Tensor summed_loss(const Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                   const LossOfRows& loss, const Tensor& product_gradients) {
  const auto factors = rule.factors.value_or(LowRank());
  return SummedLossFunction::apply(hidden, maybe(weight.dense()), maybe(rule.bias),
                                   maybe(factors.a), maybe(factors.b), maybe(product_gradients),
                                   weight, rule, loss, at::GradMode::is_enabled());
}

}  // namespace qloft::backend
