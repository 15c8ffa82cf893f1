#include "matrix_statistics.h"

#include <algorithm>
#include <string>

#include "qloft/core/error.h"

namespace qloft::pipeline {

statistics::Identity identity_of(const quantized::ModelFiles& files) {
  using architecture::Role;
  const architecture::Layout& layout = files.layout();
  std::vector<std::string> vectors;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    const Role role = layout.parameters[i].role;
    if (role != Role::bias && role != Role::norm && role != Role::norm_bias) continue;
    for (std::string& name : files.tensors(static_cast<architecture::ParameterId>(i))) {
      vectors.push_back(std::move(name));
    }
  }
  const bool packed = files.packed(layout.embedding.tokens) != nullptr;
  return statistics::identify(
      files.source(), packed ? std::vector<std::string>() : files.tensors(layout.embedding.tokens),
      vectors);
}

std::optional<statistics::File> open_statistics(const std::filesystem::path& file,
                                                decompose::Metric metric,
                                                const quantized::ModelFiles& files) {
  const bool needed = decompose::needs_gram(metric) || decompose::needs_fisher(metric);
  if (!needed && file.empty()) return std::nullopt;
  if (file.empty()) {
    throw InputError({{}, "stats"},
                     "expected a file that qloft calibrate wrote, which the metric " +
                         std::string(decompose::name(metric)) + " needs; found none");
  }
  statistics::File statistics(file);
  statistics.expect_model(identity_of(files), files.folder());
  if (!needed) return std::nullopt;
  return statistics;
}

void say_what_is_unreached(const std::optional<statistics::File>& file,
                           const std::vector<QuantizeTarget>& targets, decompose::Metric metric,
                           Progress& progress) {
  if (!file || !decompose::needs_fisher(metric)) return;
  const auto count = std::ranges::count_if(targets, [&](const QuantizeTarget& target) {
    return !target.input_of.empty() && file->is_unreached(target.weight());
  });
  if (count == 0) return;
  progress.warn(file->path().string() + ": no sequence reached " + std::to_string(count) + " of " +
                std::to_string(targets.size()) +
                " matrices; their Fisher factors are taken to be even, as large as the others'");
}

decompose::Statistics statistics_of(const std::optional<statistics::File>& file,
                                    const QuantizeTarget& target, decompose::Recipe& recipe) {
  if (target.input_of.empty()) {
    recipe.metric = decompose::Metric::frobenius;
    recipe.quantizer = decompose::Quantizer::nearest;
    return {};
  }
  if (!file) return {};
  return file->read(target.weight(), target.input_of + ".weight", target.rows, target.columns,
                    recipe.metric);
}

void rethrow_naming(const QuantizeTarget& target, const quantized::ModelFiles& files) {
  const std::string weight = target.weight();
  try {
    throw;
  } catch (const InputError& error) {
    const bool named = error.location().field.starts_with(weight);
    throw InputError({files.folder(), named ? "" : weight}, error.what());
  } catch (const ComputationError& error) {
    throw ComputationError({files.folder(), weight},
                           std::string("its values cannot be decomposed: ") + error.what());
  }
}

}  // namespace qloft::pipeline
