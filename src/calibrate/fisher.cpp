#include <ATen/TensorOperators.h>

#include "qloft/backend/statistics.h"
#include "qloft/calibrate.h"
#include "qloft/objectives.h"
#include "squares.h"
#include "tensors.h"

namespace qloft::calibrate {

void add_squares(const at::Tensor& input, const model::Observer::OutputGradient& gradient,
                 FisherSums& sums) {
  const backend::SquareSums squares = backend::squared_products(gradient.values, input);
  const double factor = gradient.scale * gradient.scale;
  sums.rows.resize(static_cast<std::size_t>(gradient.outputs));
  sums.columns.resize(squares.columns.size());
  for (std::size_t i = 0; i < squares.rows.size(); ++i) {
    sums.rows[static_cast<std::size_t>(gradient.first) + i] +=
        factor * squares.rows[i] / static_cast<double>(squares.columns.size());
  }
  for (std::size_t j = 0; j < squares.columns.size(); ++j) {
    sums.columns[j] += factor * squares.columns[j] / static_cast<double>(gradient.outputs);
  }
}

void add_next_tokens(model::Model& model, model::AdapterId adapter, const data::Example& example,
                     const SequenceSums& sums) {
  if (example.ids.empty()) return;
  const std::string output = model.layout().parameter(model.layout().output.matrix).module();
  const SequenceLoss loss_of = [&](model::Model& own) {
    const model::Input input{.ids = ids_of(example, own), .adapters = {adapter}};
    const at::Tensor states = own.hidden(input);
    const at::Tensor flat = states.view({-1, states.size(-1)});
    if (sums.grams != nullptr && sums.grams->weights() == TokenWeights::even) {
      sums.grams->add(output, flat.detach());
    }
    return objectives::next_token_of(own, flat, input, loss_mask_of(example));
  };
  add_sequence(model, loss_of, sums);
}

}  // namespace qloft::calibrate
