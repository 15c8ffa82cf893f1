#include "head.h"

#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using at::Tensor;

// What the adapters of a pass brought along, a map by ParameterId; null: nothing.
const std::map<ParameterId, Tensor>* saved_of(const Pass& pass) {
  const std::map<ParameterId, Tensor>* found = nullptr;
  for (const AdapterTokens& group : pass.adapters) {
    const auto& saved = pass.state->adapters[static_cast<std::size_t>(group.adapter)].saved;
    if (saved.empty()) continue;
    if (pass.adapter_of_token.defined()) {
      throw InputError({{}, "adapters"},
                       "expected one adapter for all rows, since it has a head "
                       "of its own, found several");
    }
    found = &saved;
  }
  return found;
}

}  // namespace

Tensor run_head(const Pass& pass, const Tensor& x) {
  const auto* saved = saved_of(pass);
  // The adapter's own, or undefined.
  const auto own = [&](ParameterId id) {
    if (saved == nullptr || id == architecture::kNoParameter) return Tensor();
    const auto found = saved->find(id);
    return found == saved->end() ? Tensor() : found->second;
  };
  const auto vector = [&](ParameterId id) {
    const Tensor brought = own(id);
    if (brought.defined() || id == architecture::kNoParameter) return brought;
    return pass.state->vector(id);
  };
  Tensor y = x;
  for (const architecture::HeadLayer& layer : pass.layout().head.layers) {
    const Tensor weight = own(layer.linear);
    const ParameterId bias = pass.layout().parameter(layer.linear).bias;
    y = apply_with(pass, layer.linear, y, weight, own(bias));
    if (layer.activation) y = backend::activate(y, *layer.activation);
    if (layer.norm) {
      y = backend::layer_norm(y, vector(layer.norm->weight), vector(layer.norm->bias),
                              layer.norm->epsilon);
    }
  }
  return y;
}

}  // namespace qloft::model
