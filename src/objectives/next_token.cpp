#include "positions.h"
#include "qloft/objectives.h"

namespace qloft::objectives {

using at::Tensor;

Loss next_token(model::Model& model, const model::Input& input, const Tensor& loss_mask) {
  expect_mask_of(input, loss_mask);
  const Tensor states = model.hidden(input);
  return next_token_of(model, states.view({-1, states.size(-1)}), input, loss_mask);
}

Loss next_token_of(model::Model& model, const Tensor& states, const model::Input& input,
                   const Tensor& loss_mask) {
  expect_mask_of(input, loss_mask);
  const Predictions predictions = predictions_of(input, loss_mask);
  return {model.cross_entropy(states, predictions.positions, predictions.targets, input.adapters,
                              input.ids.size(1)),
          predictions.positions.size(0)};
}

}  // namespace qloft::objectives
