#include "matrix_statistics.h"

#include <string>

#include "qloft/core/error.h"

namespace qloft::pipeline {

std::optional<statistics::File> open_statistics(const std::filesystem::path& file,
                                                decompose::Metric metric,
                                                const checkpoint::Checkpoint& source) {
  if (!decompose::needs_gram(metric) && !decompose::needs_fisher(metric)) return std::nullopt;
  if (file.empty()) {
    throw InputError({{}, "stats"},
                     "expected a file that qloft calibrate wrote, which the metric " +
                         std::string(decompose::name(metric)) + " needs; found none");
  }
  statistics::File statistics(file);
  statistics.expect_model(source);
  return statistics;
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

}  // namespace qloft::pipeline
