#include "sensitivity_measure.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "qloft/model/exchanged.h"

namespace qloft::pipeline {
namespace {

// The teacher's greatest probabilities that are told apart; the others are one.
constexpr std::int64_t kTeacherLogits = 1024;

}  // namespace

SensitivityMeasure::SensitivityMeasure(LoadedModel& loaded, const at::Tensor& ids,
                                       const at::Tensor& sources)
    : loaded_(loaded) {
  const at::NoGradGuard no_grad;
  model::Model& model = loaded.model;
  input_.ids = ids.to(model.device());
  input_.adapters = {loaded.adapter};
  if (sources.defined()) {
    input_.source.ids = sources.to(model.device());
  } else {
    before_ = model.embed(input_);
  }
  const at::Tensor states = states_from(0);
  teacher_ = objectives::teacher_rows_of(model, states, input_, {},
                                         std::min(kTeacherLogits, model.layout().vocabulary_size));
  full_ = objectives::comparison_of(model, states, input_, teacher_);
}

std::int64_t SensitivityMeasure::first_block(const QuantizeTarget& target) const {
  if (target.layer) return *target.layer;
  const architecture::Layout& layout = loaded_.model.layout();
  return target.id == layout.output.matrix ? layout.layers() : -1;
}

void SensitivityMeasure::advance(std::int64_t block) {
  if (block < at_) {
    before_ = loaded_.model.embed(input_);
    at_ = 0;
  }
  for (; at_ < block; ++at_) before_ = loaded_.model.block(at_, before_, input_.adapters);
}

at::Tensor SensitivityMeasure::states_from(std::int64_t block) {
  model::Model& model = loaded_.model;
  if (input_.source.ids.defined()) {
    const at::Tensor hidden = model.hidden(input_);
    return hidden.view({-1, hidden.size(-1)});
  }
  at::Tensor x = block < 0 ? model.embed(input_) : before_;
  for (std::int64_t i = std::max<std::int64_t>(block, 0); i < model.layout().layers(); ++i) {
    x = model.block(i, x, input_.adapters);
  }
  const at::Tensor hidden = model.finish(x, input_.adapters);
  return hidden.reshape({-1, hidden.size(-1)});
}

void SensitivityMeasure::put(const QuantizeTarget& target, MatrixView<const float> values) {
  loaded_.model.exchange(target.id, model::dense_for(loaded_.model, values));
}

objectives::Comparison SensitivityMeasure::current() {
  const at::NoGradGuard no_grad;
  if (before_.defined()) before_ = loaded_.model.embed(input_);
  at_ = 0;
  return objectives::comparison_of(loaded_.model, states_from(0), input_, teacher_);
}

objectives::Comparison SensitivityMeasure::with(const QuantizeTarget& target,
                                                MatrixView<const float> values) {
  const at::NoGradGuard no_grad;
  const std::int64_t block = first_block(target);
  if (block >= 0 && before_.defined()) advance(block);
  const model::Exchanged exchanged(loaded_.model,
                                   {{target.id, model::dense_for(loaded_.model, values)}});
  return objectives::comparison_of(loaded_.model, states_from(block), input_, teacher_);
}

}  // namespace qloft::pipeline
