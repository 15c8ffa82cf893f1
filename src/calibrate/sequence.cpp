#include <ATen/core/grad_mode.h>

#include <set>
#include <string>

#include "qloft/calibrate.h"
#include "squares.h"
#include "tensors.h"

namespace qloft::calibrate {

void add_sequence(model::Model& model, const SequenceLoss& loss_of, Fisher* fisher,
                  GramSums* grams) {
  // Where next tokens are foretold all inputs of the output matrix count, which only the loss sees.
  const bool decodes = architecture::predicts_next_token(model.layout());
  const std::string output =
      decodes ? model.layout().parameter(model.layout().output.matrix).module() : "";
  std::set<std::string> known;  // a head's layers are none of them
  for (const architecture::ParameterId id : architecture::multiplied(model.layout())) {
    known.insert(model.layout().parameter(id).module());
  }
  bool forward = grams != nullptr;  // a block that is recomputed shows its inputs again
  model::Observer observer;
  observer.input = [&](const std::string& name, const at::Tensor& input) {
    if (forward && name != output) grams->add(name, input);
  };
  if (fisher != nullptr) {
    observer.gradient = [&](const std::string& name, const at::Tensor& input,
                            const model::Observer::OutputGradient& gradient) {
      if (known.contains(name)) add_squares(input, gradient, (*fisher)[name]);
    };
  }
  const Observed observed(model, std::move(observer));
  if (fisher == nullptr) {
    const at::NoGradGuard no_grad;
    loss_of(model);
    return;
  }
  const objectives::Loss loss = loss_of(model);
  forward = false;
  if (loss.count > 0) (loss.sum / static_cast<double>(loss.count)).backward();
}

}  // namespace qloft::calibrate
