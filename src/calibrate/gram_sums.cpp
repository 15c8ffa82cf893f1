#include <ATen/TensorOperators.h>

#include <algorithm>
#include <vector>

#include "qloft/calibrate.h"

namespace qloft::calibrate {

architecture::ParameterId gram_of(const architecture::Layout& layout, architecture::ParameterId id,
                                  TokenWeights weights) {
  const architecture::Parameter& parameter = layout.parameter(id);
  return weights == TokenWeights::loss && parameter.expert < 0 ? id : parameter.input_of;
}

GramSums::GramSums(const model::Model& model, TokenWeights weights)
    : GramSums(model, std::nullopt, weights) {}
GramSums::GramSums(const model::Model& model, std::int64_t block, TokenWeights weights)
    : GramSums(model, std::optional(block), weights) {}

GramSums::GramSums(const model::Model& model, std::optional<std::int64_t> block,
                   TokenWeights weights)
    : weights_(weights) {
  const architecture::Layout& layout = model.layout();
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    if (block && parameter.layer != *block) continue;
    const architecture::ParameterId holder = gram_of(layout, id, weights);
    const bool own = holder == id;
    if (own) {
      sums_.emplace(parameter.module(), backend::GramSum(parameter.columns(), model.device()));
    }
    // An expert sees some of the tokens only: those of all experts are summed.
    if (own || parameter.expert >= 0) {
      named_[parameter.module()] = layout.parameter(holder).module();
    }
  }
}

void GramSums::add(const std::string& module, const at::Tensor& input) {
  const auto name = named_.find(module);
  if (name != named_.end()) sums_.at(name->second).add(input);
}

void GramSums::add(const std::string& module, const at::Tensor& input, const at::Tensor& weights) {
  const auto name = named_.find(module);
  if (name == named_.end()) return;
  const at::Tensor scaled = input.to(at::kFloat) * weights.sqrt().unsqueeze(1);
  sums_.at(name->second).add(scaled.to(input.scalar_type()));
}

std::int64_t gram_bytes(const architecture::Layout& layout, TokenWeights weights) {
  std::int64_t values = 0;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const std::int64_t n = parameter.columns();
    if (gram_of(layout, id, weights) == id) values += n * (n + 1) / 2;
  }
  return values * static_cast<std::int64_t>(sizeof(float));
}

void finish_grams(GramSums& grams, std::int64_t tokens, const GramSink& sink) {
  const auto factor = static_cast<float>(1.0 / static_cast<double>(tokens));
  std::vector<float> means;
  for (auto& [module, sum] : grams.sums()) {
    const std::span<const float> triangle = sum.triangle();
    means.resize(triangle.size());
    std::ranges::transform(triangle, means.begin(), [=](float value) { return value * factor; });
    sink(module, means);
  }
}

}  // namespace qloft::calibrate
