#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/metrics.h"

namespace qloft::metrics {
namespace {

void expect_pairs(std::span<const double> predicted, std::span<const double> expected) {
  if (predicted.size() == expected.size() && expected.size() > 1) return;
  throw InputError({{}, "predictions"},
                   "expected one for each of the references, at least two, found " +
                       std::to_string(predicted.size()) + " for " +
                       std::to_string(expected.size()));
}

// Around 0, of length 1; not a number where all are equal.
std::vector<double> standardized(std::span<const double> values) {
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  std::vector<double> result;
  double squares = 0;
  for (const double value : values) {
    result.push_back(value - mean);
    squares += result.back() * result.back();
  }
  const bool constant =
      std::ranges::all_of(values, [&](double value) { return value == values[0]; });
  const double length = constant ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(squares);
  for (double& value : result) value /= length;
  return result;
}

std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> result(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;
    for (; begin < end; ++begin) result[order[begin]] = rank;
  }
  return result;
}

}  // namespace

double pearson(std::span<const double> predicted, std::span<const double> expected) {
  expect_pairs(predicted, expected);
  const auto x = standardized(predicted), y = standardized(expected);
  const double r = std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  return std::isnan(r) ? r : std::clamp(r, -1.0, 1.0);
}

double spearman(std::span<const double> predicted, std::span<const double> expected) {
  expect_pairs(predicted, expected);
  return pearson(ranks(predicted), ranks(expected));
}

double mean_squared_error(std::span<const double> predicted, std::span<const double> expected) {
  expect_pairs(predicted, expected);
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    sum += (predicted[i] - expected[i]) * (predicted[i] - expected[i]);
  }
  return sum / static_cast<double>(expected.size());
}

}  // namespace qloft::metrics
