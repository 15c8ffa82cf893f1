#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "coordinates.h"
#include "qloft/core.h"
#include "qloft/core/text.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Singular beyond this much damping is no Gram matrix.
constexpr double kMostDamping = 1e3;

// The mean of the diagonal.
double check(const MetricInput& input) {
  const Matrix& gram = input.statistics.gram;
  const std::string field = std::string(input.name) + ", Gram matrix";
  if (gram.empty()) {
    throw InputError({{}, field}, "the metric needs it, and the statistics have none");
  }
  if (gram.rows() != input.columns || gram.columns() != input.columns) {
    throw InputError({{}, field}, "expected the shape " +
                                      shape_text({input.columns, input.columns}) + ", found " +
                                      shape_text({gram.rows(), gram.columns()}));
  }
  if (!std::isfinite(linalg::squared_norm(gram.view()))) {
    throw InputError({{}, field}, "expected finite values, found infinity or NaN");
  }
  double sum = 0;
  for (std::int64_t j = 0; j < gram.columns(); ++j) {
    if (gram(j, j) < 0) {
      throw InputError({{}, field}, "expected a diagonal from 0, found " +
                                        std::to_string(gram(j, j)) + " in row " +
                                        std::to_string(j));
    }
    sum += gram(j, j);
  }
  if (!(sum > 0)) throw InputError({{}, field}, "expected inputs, found zeros alone");
  return sum / static_cast<double>(gram.columns());
}

std::vector<std::int64_t> by_falling_diagonal(const Matrix& gram) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(gram.columns()));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&gram](std::int64_t a, std::int64_t b) { return gram(a, a) > gram(b, b); });
  return order;
}

Matrix in_order(const Matrix& gram, const std::vector<std::int64_t>& order, double added) {
  Matrix out(gram.rows(), gram.columns());
  parallel_for(gram.rows(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t i = order[static_cast<std::size_t>(p)];
      for (std::int64_t k = 0; k < gram.columns(); ++k) {
        out(p, k) = gram(i, order[static_cast<std::size_t>(k)]);
      }
      out(p, p) += static_cast<float>(added);
    }
  });
  return out;
}

}  // namespace

Coordinates gram_diagonal_coordinates(const MetricInput& input) {
  const double mean = check(input);
  Coordinates out;
  out.damping = input.damping;
  for (std::int64_t j = 0; j < input.columns; ++j) {
    out.columns.push_back(
        static_cast<float>(std::sqrt(input.statistics.gram(j, j) + input.damping * mean)));
  }
  return out;
}

Coordinates gram_coordinates(const MetricInput& input) {
  const double mean = check(input);
  Coordinates out;
  out.order = by_falling_diagonal(input.statistics.gram);
  out.damping = input.damping;
  for (;;) {
    out.root = in_order(input.statistics.gram, out.order, out.damping * mean);
    if (linalg::upper_cholesky(out.root)) return out;
    out.damping = std::max(1e-4, 10 * out.damping);
    if (out.damping > kMostDamping) {
      throw InputError({{}, std::string(input.name) + ", Gram matrix"},
                       "expected a symmetric positive matrix, found one that has no Cholesky "
                       "factor however it is damped");
    }
  }
}

}  // namespace qloft::decompose
