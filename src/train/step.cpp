#include "qloft/train/step.h"

#include <ATen/TensorOperators.h>

#include "optimizer.h"
#include "qloft/objectives.h"
#include "qloft/train.h"

namespace qloft::train {

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
  const auto loss = objectives::next_token(state_->model, {ids, {}, {}, {adapter}});
  const at::Tensor mean = loss.sum / static_cast<double>(loss.count);
  mean.backward();
  AdamW& optimizer = state_->optimizer;
  optimizer.step(defaults.learning_rate, clip_scale(optimizer.gradient_norm(), defaults.clip));
  return mean.item<double>();
}

}  // namespace qloft::train
