#include <ATen/TensorOperators.h>

#include "positions.h"
#include "qloft/core/error.h"
#include "qloft/objectives.h"

namespace qloft::objectives {

using at::Tensor;

Loss masked_token(model::Model& model, const model::Input& input, const Tensor& labels) {
  expect_mask_of(input, labels);
  if (model.layout().head.kind != architecture::HeadKind::masked_token || !labels.defined()) {
    throw InputError({{}, "labels"},
                     "expected a model with a head for masked tokens, and labels of them");
  }
  const Tensor flat = labels.to(at::kCPU).flatten();
  const Tensor positions = flat.ge(0).nonzero().flatten();
  const Tensor states = model.hidden(input);
  return {model.cross_entropy(states.view({-1, states.size(-1)}), positions,
                              flat.index_select(0, positions), input.adapters, input.ids.size(1)),
          positions.size(0)};
}

}  // namespace qloft::objectives
