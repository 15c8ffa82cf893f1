#include "sensitivity_ranks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qloft::pipeline {
namespace {

std::vector<double> ranks_within(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double mean = static_cast<double>(first + end - 1) / 2;
    for (; first < end; ++first) ranks[order[first]] = mean;
  }
  return ranks;
}

SensitivityRanks ranks_of_kind(const std::string& kind,
                               const std::vector<const SensitiveMatrix*>& matrices) {
  SensitivityRanks out;
  out.kind = kind;
  out.matrices = std::ssize(matrices);
  std::vector<double> divergences;
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

std::optional<double> rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() < 3 || a.size() != b.size()) return std::nullopt;
  const std::vector<double> x = ranks_within(a), y = ranks_within(b);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
    xy += (x[i] - mean) * (y[i] - mean);
  }
  if (!(xx > 0) || !(yy > 0)) return std::nullopt;
  return xy / std::sqrt(xx * yy);
}

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
