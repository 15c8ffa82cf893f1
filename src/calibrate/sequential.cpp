#include "qloft/calibrate/sequential.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "qloft/backend/statistics.h"
#include "qloft/backend/tensor.h"
#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

using architecture::ParameterId;
using at::Tensor;

// Leaves a pass through a block at the layer whose input was wanted: what comes behind costs most.
struct Seen {};

void expect_going_on(const Progress& progress) {
  if (progress.stop_requested()) throw Interrupted({}, "stopped");
}

// Of one matrix, or several.
struct Sums {
  std::string module;
  backend::GramSum gram;
  Tensor shift;

  Sums(std::string name, std::int64_t columns, at::Device device)
      : module(std::move(name)), gram(columns, device) {}

  void add(const Tensor& x, const Tensor& difference) {
    gram.add(x);
    if (!shift.defined()) {
      const std::int64_t n = gram.size();
      shift = at::zeros({n, n}, at::TensorOptions(at::kFloat).device(x.device()));
    }
    backend::add_products(difference, x, shift);
  }
};

Matrix mean_of(const Tensor& sums, std::int64_t tokens) {
  const Tensor here = backend::as_f32(sums.cpu());
  Matrix out(here.size(0), here.size(1));
  const auto factor = static_cast<float>(1.0 / static_cast<double>(tokens));
  const float* from = here.const_data_ptr<float>();
  std::ranges::transform(from, from + here.numel(), out.values().begin(),
                         [=](float value) { return value * factor; });
  return out;
}

Matrix mean_of(backend::GramSum& sum, std::int64_t tokens) {
  return symmetric(sum.triangle(), sum.size(),
                   static_cast<float>(1.0 / static_cast<double>(tokens)));
}

}  // namespace

SequentialInputs::SequentialInputs(model::Model& model, std::span<const data::Example> sequences,
                                   const KeptWeights* weights, double kept_inputs)
    : model_(model), sequences_(sequences), weights_(weights), kept_inputs_(kept_inputs) {
  for (const data::Example& sequence : sequences_) tokens_ += std::ssize(sequence.ids);
}

void SequentialInputs::begin() {
  const auto embed = [&](std::vector<Tensor>& states) {
    for (const data::Example& sequence : sequences_) {
      if (sequence.ids.empty()) continue;
      states.push_back(model_.embed({.ids = ids_of(sequence, model_)}).cpu().contiguous());
    }
  };
  embed(full_);
  const model::Exchanged exchanged(model_, std::exchange(replaced_, {}));
  embed(quantized_);
}

Tensor SequentialInputs::through(const Tensor& state) {
  return model_.block(block_, state.to(model_.device()), {}).cpu().contiguous();
}

Tensor SequentialInputs::seen(const Tensor& state, const std::string& module) {
  const Tensor x = state.to(model_.device());
  if (block_ == model_.layout().layers()) {
    const Tensor input = model_.finish(x, {});
    return input.reshape({-1, input.size(-1)});
  }
  Tensor out;
  const Observed observed(model_, {.input =
                                       [&](const std::string& name, const Tensor& input) {
                                         if (name != module) return;
                                         out = input;
                                         throw Seen{};
                                       },
                                   .gradient = {}});
  try {
    model_.block(block_, x, {});
  } catch (const Seen&) {
    return out;
  }
  throw Error({{}, module}, "expected a layer of block " + std::to_string(block_));
}

void SequentialInputs::keep_full_inputs(const Progress& progress) {
  const architecture::Layout& layout = model_.layout();
  std::set<std::string> modules;
  double bytes = 0;
  for (const ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    if (parameter.layer != block_ || parameter.expert >= 0 || parameter.input_of != id) continue;
    modules.insert(parameter.module());
    bytes += static_cast<double>(tokens_ * parameter.columns()) *
             static_cast<double>(c10::elementSize(model_.dtype()));
  }
  if (modules.empty() || bytes > kept_inputs_) return;
  const Observed observed(model_, {.input =
                                       [&](const std::string& name, const Tensor& input) {
                                         if (modules.contains(name))
                                           full_inputs_[name].push_back(input.cpu());
                                       },
                                   .gradient = {}});
  for (const Tensor& state : full_) {
    expect_going_on(progress);
    full_behind_.push_back(through(state));
  }
}

Tensor SequentialInputs::full_input(std::size_t sequence, const std::string& module) {
  const auto kept = full_inputs_.find(module);
  if (kept == full_inputs_.end()) return seen(full_[sequence], module);
  return kept->second[sequence].to(model_.device());
}

void SequentialInputs::see_experts(const Tensor& state, ParameterId holder,
                                   const std::function<void(const Tensor&)>& see) {
  const architecture::Layout& layout = model_.layout();
  std::set<std::string> modules;
  for (const ParameterId id : architecture::multiplied(layout)) {
    if (calibrate::gram_of(layout, id, calibrate::TokenWeights::even) != holder) continue;
    // Of an expert's layers with one input the first shows it.
    modules.insert(layout.parameter(id).module());
  }
  const Observed observed(model_, {.input =
                                       [&](const std::string& name, const Tensor& input) {
                                         if (modules.contains(name)) see(input);
                                       },
                                   .gradient = {}});
  model_.block(block_, state.to(model_.device()), {});
}

Tensor SequentialInputs::weights_of(const std::string& module, std::size_t sequence) const {
  std::int64_t first = 0;
  for (std::size_t i = 0; i < sequence; ++i) first += full_[i].size(1);
  return calibrate::weights_of(*weights_, module, first, full_[sequence].size(1))
      .to(model_.device());
}

std::vector<SequentialSums> SequentialInputs::of(std::span<const ParameterId> group,
                                                 const Progress& progress) {
  const at::NoGradGuard no_grad;
  if (full_.empty()) begin();
  const architecture::Layout& layout = model_.layout();
  const architecture::Parameter& first = layout.parameter(group.front());
  const std::string shown_by = layout.parameter(first.input_of).module();
  const bool routed = first.expert >= 0;
  const bool weighed = weights_ != nullptr && !routed && block_ < layout.layers();
  std::vector<Sums> sums;
  for (const ParameterId id : weighed ? group : group.first(1)) {
    sums.emplace_back(layout.parameter(id).module(), first.columns(), model_.device());
  }
  if (full_behind_.empty() && block_ < layout.layers()) keep_full_inputs(progress);
  for (std::size_t i = 0; i < full_.size(); ++i) {
    expect_going_on(progress);
    if (routed) {
      const model::Exchanged exchanged(model_, replaced_);
      see_experts(quantized_[i], first.input_of, [&](const Tensor& x) { sums[0].gram.add(x); });
      continue;
    }
    const Tensor y = full_input(i, shown_by);
    const model::Exchanged exchanged(model_, replaced_);
    const Tensor x = seen(quantized_[i], shown_by);
    const Tensor difference = y - x;
    for (Sums& one : sums) {
      if (!weighed) {
        one.add(x, difference);
        continue;
      }
      const Tensor roots = weights_of(one.module, i).sqrt().unsqueeze(1);
      one.add(x.mul(roots).to(x.scalar_type()), difference.mul(roots).to(x.scalar_type()));
    }
  }
  std::vector<SequentialSums> out;
  for (Sums& one : sums) {
    out.push_back(
        {mean_of(one.gram, tokens_), one.shift.defined() ? mean_of(one.shift, tokens_) : Matrix()});
  }
  return out;
}

void SequentialInputs::put(ParameterId id, MatrixView<const float> values) {
  if (full_.empty() && id != model_.layout().embedding.tokens) begin();
  replaced_.push_back({id, model::dense_for(model_, values)});
}

void SequentialInputs::advance(const Progress& progress) {
  const at::NoGradGuard no_grad;
  if (full_.empty()) begin();
  full_inputs_.clear();
  if (full_behind_.empty()) {
    for (Tensor& state : full_) {
      expect_going_on(progress);
      state = through(state);
    }
  } else {
    full_ = std::exchange(full_behind_, {});
  }
  {
    const model::Exchanged exchanged(model_, std::exchange(replaced_, {}));
    for (Tensor& state : quantized_) {
      expect_going_on(progress);
      state = through(state);
    }
  }
  ++block_;
}

SequentialInputs::States SequentialInputs::states() {
  if (full_.empty()) begin();
  return {block_, full_, quantized_};
}

void SequentialInputs::restore(States states) {
  block_ = states.block;
  full_ = std::move(states.full);
  quantized_ = std::move(states.quantized);
  replaced_.clear();
  full_inputs_.clear();
  full_behind_.clear();
}

}  // namespace qloft::calibrate
