#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "positions.h"
#include "qloft/objectives.h"
#include "teacher_logits.h"

namespace qloft::objectives {
namespace {

using at::Tensor;

// Below, what is left of a row's probabilities is what the others were rounded by.
constexpr double kLeastRest = 1e-6;

// p log(p / q) of what the known ids leave of each row's probability, [n].
Tensor rest_of(const Tensor& p, const Tensor& q) {
  const Tensor p_rest = 1 - p.sum(1), q_rest = (1 - q.sum(1)).clamp_min(kLeastRest);
  return at::where(p_rest > kLeastRest, p_rest * (p_rest / q_rest).log(), at::zeros_like(p_rest));
}

}  // namespace

Comparison comparison_of(model::Model& model, const Tensor& states, const model::Input& input,
                         const model::TeacherRows& teacher) {
  const at::NoGradGuard no_grad;
  const Predictions predictions = predictions_of(input, {});
  const std::int64_t vocabulary = model.layout().vocabulary_size;
  Comparison out;
  out.count = predictions.positions.size(0);
  expect_rows(teacher, out.count, vocabulary);
  const std::int64_t step = std::max<std::int64_t>(1, kLogitsAtOnce / vocabulary);
  for (std::int64_t first = 0; first < out.count; first += step) {
    const std::int64_t count = std::min(step, out.count - first);
    const auto part = [&](const Tensor& all) {
      return all.narrow(0, first, count).to(states.device());
    };
    const Tensor logits =
        model.logits(states.index_select(0, part(predictions.positions)), input.adapters);
    const Tensor normalizer = logits.logsumexp(1, true);
    const Tensor targets = logits.gather(1, part(predictions.targets).unsqueeze(1)) - normalizer;
    out.loss -= targets.sum(at::kDouble).item<double>();
    const Tensor log_p = part(teacher.log_probabilities).to(at::kDouble), p = log_p.exp();
    const Tensor log_q =
        (logits.gather(1, part(teacher.ids).to(at::kLong)) - normalizer).to(at::kDouble);
    Tensor each = (p * (log_p - log_q)).sum(1);
    if (teacher.ids.size(1) < vocabulary) each = each + rest_of(p, log_q.exp());
    out.divergence += each.sum().item<double>();
  }
  return out;
}

}  // namespace qloft::objectives
