#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <map>
#include <set>
#include <string>

#include "qloft/calibrate.h"
#include "squares.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

// [tokens], f32, of the part of the outputs that is shown: those of all parts add up.
at::Tensor weights_of(const model::Observer::OutputGradient& gradient, double predictions) {
  const at::Tensor norms =
      at::linalg_vector_norm(gradient.values, 2, at::IntArrayRef{1}, false, at::kFloat);
  const double factor = gradient.scale * predictions;
  return norms.square() * (factor * factor / static_cast<double>(gradient.outputs));
}

void keep(const std::string& module, const at::Tensor& weights, KeptWeights& kept) {
  const at::Tensor own = weights.cpu().contiguous();
  const auto* values = own.const_data_ptr<float>();
  std::vector<float>& all = kept[module];
  all.insert(all.end(), values, values + own.numel());
}

}  // namespace

void add_sequence(model::Model& model, const SequenceLoss& loss_of, const SequenceSums& sums) {
  // Where next tokens are foretold all inputs of the output matrix count, which only the loss sees.
  const bool decodes = architecture::predicts_next_token(model.layout());
  const std::string output =
      decodes ? model.layout().parameter(model.layout().output.matrix).module() : "";
  std::set<std::string> known;  // a head's layers are none of them
  for (const architecture::ParameterId id : architecture::multiplied(model.layout())) {
    known.insert(model.layout().parameter(id).module());
  }
  const bool by_loss = sums.grams != nullptr && sums.grams->weights() == TokenWeights::loss;
  bool forward = true;  // a block that is recomputed shows its inputs again
  double predictions = 0;
  model::Observer observer;
  std::map<std::string, std::size_t> seen;  // tokens whose weights are kept, with those before
  observer.input = [&](const std::string& name, const at::Tensor& input) {
    if (!forward || name == output) return;
    if (sums.grams != nullptr && !by_loss) sums.grams->add(name, input);
    if (sums.weights == nullptr || !known.contains(name)) return;
    seen.try_emplace(name, (*sums.weights)[name].size()).first->second +=
        static_cast<std::size_t>(input.size(0));
  };
  const bool backward = by_loss || sums.fisher != nullptr || sums.weights != nullptr;
  if (backward) {
    observer.gradient = [&](const std::string& name, const at::Tensor& input,
                            const model::Observer::OutputGradient& gradient) {
      if (!known.contains(name)) return;
      if (sums.fisher != nullptr) add_squares(input, gradient, (*sums.fisher)[name]);
      if (!by_loss && sums.weights == nullptr) return;
      const at::Tensor weights = weights_of(gradient, predictions);
      if (by_loss) sums.grams->add(name, input, weights);
      if (sums.weights != nullptr && name != output) keep(name, weights, *sums.weights);
    };
  }
  const Observed observed(model, std::move(observer));
  if (!backward) {
    const at::NoGradGuard no_grad;
    loss_of(model);
    return;
  }
  const objectives::Loss loss = loss_of(model);
  forward = false;
  predictions = static_cast<double>(loss.count);
  if (loss.count > 0) (loss.sum / predictions).backward();
  // Tokens that no gradient reaches count nothing.
  for (const auto& [name, count] : seen) (*sums.weights)[name].resize(count);
}

}  // namespace qloft::calibrate
