// Every parameter of a model: its making from a source, and the dense ones by name.
#include "qloft/core/error.h"
#include "state.h"

namespace qloft::model {

using architecture::kNoParameter;
using architecture::Parameter;

void build(Model::State& state, const ParameterSource& source) {
  const auto& parameters = state.layout.parameters;
  state.linears.resize(parameters.size());
  state.vectors.resize(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto id = static_cast<ParameterId>(i);
    const Parameter& parameter = parameters[i];
    if (!parameter.is_matrix()) {
      state.vectors[i] = source.vector(id);
      continue;
    }
    Linear& linear = state.linears[i];
    linear.module = parameter.module();
    linear.weight = parameter.tied_to == kNoParameter ? source.matrix(id)
                                                      : state.linear(parameter.tied_to).weight;
    linear.weight.int8 = state.int8 && (parameter.role == architecture::Role::linear ||
                                        parameter.role == architecture::Role::output);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].bias != kNoParameter) {
      state.linears[i].bias = state.vector(parameters[i].bias);
    }
  }
  std::uint64_t number = 0;
  for (const ParameterId id : architecture::multiplied(state.layout)) {
    state.linear(id).number = number++;
  }
}

at::Tensor Model::exchange(ParameterId id, at::Tensor dense) {
  State& state = *state_;
  const at::Tensor old = state.linear(id).weight.dense();
  const bool fits = old.defined() && dense.defined() && dense.sizes() == old.sizes() &&
                    dense.device() == old.device() && output_type() == OutputType::stored;
  if (!fits) {
    throw Error({{}, state.layout.parameter(id).name},
                "expected a dense matrix for a dense one of the same shape");
  }
  for (std::size_t i = 0; i < state.linears.size(); ++i) {
    if (static_cast<ParameterId>(i) == id || state.layout.parameters[i].tied_to == id) {
      state.linears[i].weight.storage = dense;
    }
  }
  return old;
}

std::vector<std::pair<std::string, at::Tensor>> Model::dense_weights() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  const State& state = *state_;
  for (std::size_t i = 0; i < state.layout.parameters.size(); ++i) {
    const Parameter& parameter = state.layout.parameters[i];
    if (parameter.tied_to != kNoParameter) continue;
    const at::Tensor& tensor =
        parameter.is_matrix() ? state.linears[i].weight.dense() : state.vectors[i];
    if (tensor.defined()) out.emplace_back(parameter.name, tensor);
  }
  return out;
}

std::vector<std::pair<ParameterId, std::shared_ptr<const quant::PackedMatrix>>>
Model::rescaled_weights() const {
  std::vector<std::pair<ParameterId, std::shared_ptr<const quant::PackedMatrix>>> out;
  for (std::size_t i = 0; i < state_->linears.size(); ++i) {
    const Weight& weight = state_->linears[i].weight;
    if (weight.scales == nullptr) continue;
    backend::store_scales(weight);
    out.emplace_back(static_cast<ParameterId>(i), weight.scales->matrix);
  }
  return out;
}

}  // namespace qloft::model
