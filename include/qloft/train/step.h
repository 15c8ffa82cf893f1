#pragma once
// Steps of training outside of a run, with neither data set, schedule nor saves: what measuring
// needs of train().

#include <ATen/core/Tensor.h>

#include <memory>

#include "qloft/model.h"

namespace qloft::train {

class Stepper {
 public:
  // Trains what model.trainable() gives, with AdamW. The model outlives it.
  explicit Stepper(model::Model& model);
  Stepper(Stepper&&) noexcept;
  ~Stepper();

  // Forward, backward and an update on sequences of ids [rows, length >= 2], of which every token
  // is learned, by an encoder-decoder as a target whose source it is too, or by a head of sequences
  // a label of each. Returns the mean loss before the update.
  double step(const at::Tensor& ids, model::AdapterId adapter);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloft::train
