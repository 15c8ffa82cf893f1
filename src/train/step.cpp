#include "qloft/train/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include "optimizer.h"
#include "qloft/objectives.h"
#include "qloft/train.h"

namespace qloft::train {

namespace {

// Of every token, of a target that is the source itself, or of the first label of each sequence.
objectives::Loss loss_of(model::Model& model, const at::Tensor& ids, model::AdapterId adapter) {
  model::Input input{ids, {}, {}, {adapter}};
  const architecture::Head& head = model.layout().head;
  if (head.kind == architecture::HeadKind::next_token) return objectives::next_token(model, input);
  if (head.kind == architecture::HeadKind::sequence_to_sequence) {
    return objectives::sequence_to_sequence(model, {ids}, ids, 0, {adapter});
  }
  if (head.end_token >= 0) {
    input.ids = ids.clone();
    input.ids.select(1, ids.size(1) - 1).fill_(head.end_token);
  }
  const bool single = head.problem == architecture::Problem::single_label;
  const auto count = static_cast<std::int64_t>(head.labels.size());
  return objectives::classification(
      model, input, single ? at::zeros({ids.size(0)}, at::kLong) : at::zeros({ids.size(0), count}));
}

}  // namespace

struct Stepper::State {
  model::Model& model;
  AdamW optimizer;
};

Stepper::Stepper(model::Model& model)
    : state_(std::make_unique<State>(State{model, AdamW(model.trainable(), {})})) {}

Stepper::Stepper(Stepper&&) noexcept = default;
Stepper::~Stepper() = default;

double Stepper::step(const at::Tensor& ids, model::AdapterId adapter) {
  const Options defaults;
  const objectives::Loss loss = loss_of(state_->model, ids, adapter);
  const at::Tensor mean = loss.sum / static_cast<double>(loss.count);
  mean.backward();
  AdamW& optimizer = state_->optimizer;
  optimizer.step(defaults.learning_rate, clip_scale(optimizer.gradient_norm(), defaults.clip));
  return mean.item<double>();
}

}  // namespace qloft::train
