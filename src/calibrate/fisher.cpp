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

void add_fisher(model::Model& model, model::AdapterId adapter, const data::Example& example,
                Fisher& fisher, GramSums* grams) {
  if (example.ids.empty()) return;
  const std::string output = model.layout().parameter(model.layout().output.matrix).module();
  // A block that is recomputed in the backward pass shows its inputs again, and the output matrix
  // those of predictions that count alone.
  bool forward = grams != nullptr;
  const Observed observed(model, {.input =
                                      [&](const std::string& name, const at::Tensor& input) {
                                        if (forward && name != output) grams->add(name, input);
                                      },
                                  .gradient =
                                      [&](const std::string& name, const at::Tensor& input,
                                          const model::Observer::OutputGradient& gradient) {
                                        add_squares(input, gradient, fisher[name]);
                                      }});
  const model::Input input{.ids = ids_of(example, model), .adapters = {adapter}};
  const at::Tensor states = model.hidden(input);
  const at::Tensor flat = states.view({-1, states.size(-1)});
  if (forward) grams->add(output, flat.detach());
  forward = false;
  const auto loss = objectives::next_token_of(model, flat, input, loss_mask_of(example));
  if (loss.count > 0) (loss.sum / static_cast<double>(loss.count)).backward();
}

}  // namespace qloft::calibrate
