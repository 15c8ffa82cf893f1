#include "sensitivity_ranks.h"

#include <algorithm>
#include <cmath>

#include "qloft/metrics.h"

namespace qloft::pipeline {
namespace {

// Spearman's; empty for fewer than three pairs, and where all of one side are equal.
std::optional<double> rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() < 3) return std::nullopt;
  const double correlation = metrics::spearman(a, b);
  return std::isnan(correlation) ? std::nullopt : std::optional(correlation);
}

SensitivityRanks ranks_of_kind(const std::string& kind,
                               const std::vector<const SensitiveMatrix*>& matrices) {
  SensitivityRanks out;
  out.kind = kind;
  out.matrices = std::ssize(matrices);
  std::vector<double> divergences;
  divergences.reserve(matrices.size());
  for (const SensitiveMatrix* matrix : matrices) divergences.push_back(matrix->divergence);
  for (const double divergence : divergences) out.divergence += divergence;
  const auto of = [&](auto member) -> std::optional<double> {
    std::vector<double> values;
    for (const SensitiveMatrix* matrix : matrices) {
      const std::optional<double> value = matrix->*member;
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
    return rank_correlation(values, divergences);
  };
  using M = SensitiveMatrix;
  out.loss_increase = of(&M::loss_increase);
  out.relative_error = of(&M::relative_error);
  out.squared_error = of(&M::squared_error);
  out.gram_error = of(&M::gram_error);
  out.gram_squared_error = of(&M::gram_squared_error);
  out.fisher_gram_error = of(&M::fisher_gram_error);
  out.fisher_gram_squared_error = of(&M::fisher_gram_squared_error);
  out.predicted_loss = of(&M::predicted_loss);
  out.worst_output_error = of(&M::worst_output_error);
  out.worst_input_error = of(&M::worst_input_error);
  out.tail_error = of(&M::tail_error);
  out.weight_peak = of(&M::weight_peak);
  out.input_peak = of(&M::input_peak);
  return out;
}

}  // namespace

std::vector<SensitivityRanks> ranks_of(const std::vector<SensitiveMatrix>& matrices) {
  std::vector<const SensitiveMatrix*> all;
  std::vector<std::string> kinds;
  for (const SensitiveMatrix& matrix : matrices) {
    all.push_back(&matrix);
    if (std::ranges::find(kinds, matrix.kind) == kinds.end()) kinds.push_back(matrix.kind);
  }
  std::vector<SensitivityRanks> out = {ranks_of_kind("all", all)};
  for (const std::string& kind : kinds) {
    std::vector<const SensitiveMatrix*> own;
    std::ranges::copy_if(all, std::back_inserter(own),
                         [&](const SensitiveMatrix* matrix) { return matrix->kind == kind; });
    out.push_back(ranks_of_kind(kind, own));
  }
  const double sum = out.front().divergence;
  for (SensitivityRanks& ranks : out) ranks.share = sum > 0 ? ranks.divergence / sum : 0;
  return out;
}

}  // namespace qloft::pipeline
