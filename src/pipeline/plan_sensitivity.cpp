#include "plan_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::pipeline {
namespace {

constexpr double kLeastOfMean = 0.1;

// The candidate that the report's matrix is like.
std::size_t nearest(const plan::Table& table, const QuantizeTarget& target,
                    const SensitiveMatrix& measured, std::int64_t rank) {
  const auto distance = [&](std::size_t c) {
    const double bits = table.formats[c].bits_per_weight(target.rows, target.columns);
    const std::int64_t ranks = table.ranks.empty() ? 0 : std::abs(table.ranks[c] - rank);
    return std::tuple(std::abs(bits - measured.bits_per_weight), ranks);
  };
  std::size_t out = 0;
  for (std::size_t c = 1; c < table.formats.size(); ++c) {
    if (distance(c) < distance(out)) out = c;
  }
  return out;
}

}  // namespace

MeasuredDivergences read_measured(const std::filesystem::path& file,
                                  const std::vector<QuantizeTarget>& targets) {
  SensitivityReport report = read_sensitivity(file);
  MeasuredDivergences out;
  out.rank = report.rank;
  for (SensitiveMatrix& matrix : report.matrices) {
    const std::string name = matrix.name;
    out.matrices[name] = std::move(matrix);
  }
  double sum = 0;
  for (const QuantizeTarget& target : targets) {
    const auto found = out.matrices.find(target.weight());
    if (found == out.matrices.end()) {
      throw InputError({file, "matrices"}, "expected " + target.weight() + ", found none");
    }
    sum += std::max(0.0, found->second.divergence);
  }
  if (!(std::isfinite(sum) && sum > 0)) {
    throw InputError({file, "matrices"}, "expected divergences above 0, found none");
  }
  out.least = kLeastOfMean * sum / static_cast<double>(targets.size());
  return out;
}

void weigh_by(const MeasuredDivergences& measured, const std::vector<QuantizeTarget>& targets,
              plan::Table& table) {
  for (std::size_t m = 0; m < targets.size(); ++m) {
    const SensitiveMatrix& matrix = measured.matrices.at(targets[m].weight());
    std::vector<double>& errors = table.matrices[m].errors;
    const double error = errors[nearest(table, targets[m], matrix, measured.rank)];
    if (error <= 0) continue;
    for (double& one : errors) one *= std::max(matrix.divergence, measured.least) / error;
  }
}

}  // namespace qloft::pipeline
