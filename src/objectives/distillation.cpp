#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "positions.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/objectives.h"
#include "teacher_logits.h"

namespace qloft::objectives {

using at::Tensor;

void expect_rows(const model::TeacherRows& teacher, std::int64_t count, std::int64_t vocabulary) {
  if (teacher.ids.size(0) != count ||
      !teacher.log_probabilities.sizes().equals(teacher.ids.sizes())) {
    throw InputError({{}, "teacher"}, "expected " + std::to_string(count) + " rows, found " +
                                          std::to_string(teacher.ids.size(0)));
  }
  if (teacher.ids.numel() == 0) return;
  const auto least = teacher.ids.min().item<std::int32_t>();
  const auto greatest = teacher.ids.max().item<std::int32_t>();
  if (least >= 0 && greatest < vocabulary) return;
  throw InputError({{}, "teacher"}, "expected ids below " + std::to_string(vocabulary) +
                                        ", found " + std::to_string(least < 0 ? least : greatest));
}

namespace {

// The sum over positions of |h - t|^2 / |t|^2.
Tensor squares_of(const Tensor& states, const Tensor& positions, const Tensor& teacher) {
  const std::vector<std::int64_t> expected = {positions.size(0), states.size(1)};
  if (teacher.sizes() != at::IntArrayRef(expected)) {
    throw InputError({{}, "teacher"}, "expected states " + shape_text(expected) + ", found " +
                                          shape_text(teacher.sizes().vec()));
  }
  const Tensor wanted = teacher.to(states.device(), at::kFloat);
  const Tensor found = states.index_select(0, positions.to(states.device())).to(at::kFloat);
  // A state of zeros has no scale of its own.
  const Tensor scale = wanted.square().sum(1).clamp_min(std::numeric_limits<float>::min());
  return ((found - wanted).square().sum(1) / scale).sum();
}

}  // namespace

model::TeacherRows teacher_rows(model::Model& model, const model::Input& input,
                                const Tensor& loss_mask, std::int64_t count) {
  const at::NoGradGuard no_grad;
  expect_mask_of(input, loss_mask);
  const Tensor hidden = model.hidden(input);
  return teacher_rows_of(model, hidden.view({-1, hidden.size(-1)}), input, loss_mask, count);
}

model::TeacherRows teacher_rows_of(model::Model& model, const Tensor& states,
                                   const model::Input& input, const Tensor& loss_mask,
                                   std::int64_t count) {
  const at::NoGradGuard no_grad;
  expect_mask_of(input, loss_mask);
  const Tensor positions = predictions_of(input, loss_mask).positions;
  const std::int64_t vocabulary = model.layout().vocabulary_size;
  const std::int64_t step = std::max<std::int64_t>(1, kLogitsAtOnce / vocabulary);
  std::vector<Tensor> ids = {at::empty({0, count}, at::kInt)};
  std::vector<Tensor> log_probabilities = {at::empty({0, count})};
  for (std::int64_t first = 0; first < positions.size(0); first += step) {
    const Tensor chosen =
        positions.narrow(0, first, std::min(step, positions.size(0) - first)).to(states.device());
    const Tensor logits = model.logits(states.index_select(0, chosen), input.adapters);
    model::TeacherRows rows = model::greatest_of(logits, count);
    ids.push_back(rows.ids);
    log_probabilities.push_back(rows.log_probabilities);
  }
  return {at::cat(ids), at::cat(log_probabilities)};
}

Loss distillation(model::Model& model, const model::Input& input, const Tensor& loss_mask,
                  const model::TeacherRows& teacher, double next_token_weight) {
  expect_mask_of(input, loss_mask);
  const Predictions predictions = predictions_of(input, loss_mask);
  expect_rows(teacher, predictions.positions.size(0), model.layout().vocabulary_size);
  const Tensor states = model.hidden(input);
  return {
      model.divergence(states.view({-1, states.size(-1)}), predictions.positions, teacher,
                       predictions.targets, next_token_weight, input.adapters, input.ids.size(1)),
      predictions.positions.size(0)};
}

Tensor teacher_states(model::Model& model, const model::Input& input, const Tensor& loss_mask) {
  const at::NoGradGuard no_grad;
  expect_mask_of(input, loss_mask);
  const Tensor hidden = model.hidden(input);
  const Tensor positions = predictions_of(input, loss_mask).positions.to(hidden.device());
  return hidden.view({-1, hidden.size(-1)}).index_select(0, positions).to(at::kCPU, at::kBFloat16);
}

Loss distillation_of_states(model::Model& model, const model::Input& input, const Tensor& loss_mask,
                            const Tensor& teacher, double next_token_weight) {
  expect_mask_of(input, loss_mask);
  const Predictions predictions = predictions_of(input, loss_mask);
  const Tensor hidden = model.hidden(input);
  const Tensor states = hidden.view({-1, hidden.size(-1)});
  Tensor sum = squares_of(states, predictions.positions, teacher) * (1 - next_token_weight);
  if (next_token_weight > 0) {
    const Loss likelihood = next_token_of(model, states, input, loss_mask);
    sum = sum + likelihood.sum * next_token_weight;
  }
  return {sum, predictions.positions.size(0)};
}

Loss distillation_of_block(model::Model& model, std::int64_t index, const Tensor& x,
                           const model::Input& input, const Tensor& loss_mask,
                           const Tensor& teacher) {
  expect_mask_of(input, loss_mask);
  const Tensor positions = predictions_of(input, loss_mask).positions;
  const Tensor made = model.block(index, x, input.adapters);
  return {squares_of(made.reshape({-1, made.size(-1)}), positions, teacher), positions.size(0)};
}

}  // namespace qloft::objectives
