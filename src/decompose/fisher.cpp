#include <algorithm>
#include <cmath>
#include <string>

#include "coordinates.h"
#include "qloft/core.h"

namespace qloft::decompose {
namespace {

// A row or column that no gradient reached would lose all weight; it keeps this part of the
// largest factor, so that the coordinates can be left again.
constexpr float kLeastPart = 1e-4f;

std::vector<float> checked(const std::vector<float>& factors, std::int64_t count,
                           std::string_view name, const char* what) {
  const std::string field = std::string(name) + ", Fisher " + what + " factors";
  if (factors.empty()) {
    throw InputError({{}, field}, "the metric needs them, and the statistics have none");
  }
  if (static_cast<std::int64_t>(factors.size()) != count) {
    throw InputError({{}, field}, "expected " + std::to_string(count) + ", found " +
                                      std::to_string(factors.size()));
  }
  float largest = 0;
  for (const float factor : factors) {
    if (!std::isfinite(factor) || factor < 0) {
      throw InputError({{}, field},
                       "expected finite values from 0, found " + std::to_string(factor));
    }
    largest = std::max(largest, factor);
  }
  if (!(largest > 0)) throw InputError({{}, field}, "expected a value above 0, found zeros alone");
  std::vector<float> out = factors;
  for (float& factor : out) factor = std::max(factor, kLeastPart * largest);
  return out;
}

double mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

// The Fisher diagonal F is taken as the product of its row and column means over its mean, which
// keeps its sum and lets errors of different matrices be compared.
Coordinates fisher_coordinates(const MetricInput& input) {
  Coordinates out;
  out.rows = checked(input.statistics.fisher_rows, input.rows, input.name, "row");
  out.columns = checked(input.statistics.fisher_columns, input.columns, input.name, "column");
  const auto factor = static_cast<float>(1.0 / std::sqrt(mean_square(out.columns)));
  for (float& column : out.columns) column *= factor;
  return out;
}

Coordinates fisher_gram_coordinates(const MetricInput& input) {
  Coordinates out = gram_coordinates(input);
  out.rows = checked(input.statistics.fisher_rows, input.rows, input.name, "row");
  // The column means hold the inputs' energy, which the Gram matrix counts already.
  double energy = 0;
  for (std::int64_t j = 0; j < input.columns; ++j) energy += input.statistics.gram(j, j);
  const auto factor =
      static_cast<float>(std::sqrt(static_cast<double>(input.columns) / std::max(energy, 1e-30)));
  for (float& row : out.rows) row *= factor;
  return out;
}

}  // namespace qloft::decompose
