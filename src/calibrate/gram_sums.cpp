#include <algorithm>
#include <vector>

#include "qloft/calibrate.h"

namespace qloft::calibrate {

GramSums::GramSums(const model::Model& model) : GramSums(model, std::nullopt) {}
GramSums::GramSums(const model::Model& model, std::int64_t block)
    : GramSums(model, std::optional(block)) {}

GramSums::GramSums(const model::Model& model, std::optional<std::int64_t> block) {
  const architecture::Layout& layout = model.layout();
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    if (block && parameter.layer != *block) continue;
    const bool own = parameter.input_of == id;
    if (own) {
      sums_.emplace(parameter.module(), backend::GramSum(parameter.columns(), model.device()));
    }
    // An expert sees some of the tokens only: those of all experts are summed.
    if (own || parameter.expert >= 0) {
      named_[parameter.module()] = layout.parameter(parameter.input_of).module();
    }
  }
}

void GramSums::add(const std::string& module, const at::Tensor& input) {
  const auto name = named_.find(module);
  if (name != named_.end()) sums_.at(name->second).add(input);
}

std::int64_t gram_bytes(const architecture::Layout& layout) {
  std::int64_t values = 0;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const std::int64_t n = parameter.columns();
    if (parameter.input_of == id) values += n * (n + 1) / 2;
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
