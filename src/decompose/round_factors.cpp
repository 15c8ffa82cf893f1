#include "round_factors.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/linalg.h"
#include "residual.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

// Rows that are rounded by one task.
constexpr std::int64_t kRowsATask = 8;

// Below this part of the largest a direction of A is what rounding left of others.
constexpr float kDependent = 1e-5f;

void round_to_nearest(Matrix& a, ElementType type) {
  for (float& value : a.values()) value = round_within(value, type);
}

// a [rank, n], whose errors e count as ||e root||: the sum over the columns before is undone by the
// next, in blocks.
void round_with_feedback(MatrixView<float> a, MatrixView<const float> root, ElementType type) {
  Matrix errors(a.rows, a.columns);
  Matrix sums(a.rows, kFeedbackColumns);
  for (std::int64_t first = 0; first < a.columns; first += kFeedbackColumns) {
    const std::int64_t count = std::min(kFeedbackColumns, a.columns - first);
    const MatrixView<float> before = sums.view().block(0, 0, a.rows, count);
    if (first > 0) {
      linalg::multiply(errors.view().block(0, 0, a.rows, first), Transpose::no,
                       root.block(0, first, first, count), Transpose::no, before);
    }
    parallel_for(a.rows, kRowsATask, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t p = 0; p < count; ++p) {
          const std::int64_t at = first + p;
          float sum = before(i, p);
          for (std::int64_t k = 0; k < p; ++k) sum += errors(i, first + k) * root(first + k, at);
          const float rounded = round_within(a(i, at) + sum / root(at, at), type);
          errors(i, at) = a(i, at) - rounded;
          a(i, at) = rounded;
        }
      }
    });
  }
}

void round_a(const Coordinates& coordinates, Matrix& a, ElementType type) {
  if (coordinates.root.empty()) return round_to_nearest(a, type);
  const std::vector<std::int64_t>& order = coordinates.order;
  Matrix in_order(a.rows(), a.columns());
  for (std::int64_t k = 0; k < a.rows(); ++k) {
    for (std::int64_t p = 0; p < a.columns(); ++p) {
      in_order(k, p) = a(k, order[static_cast<std::size_t>(p)]);
    }
  }
  round_with_feedback(in_order.view(), coordinates.root.view(), type);
  for (std::int64_t k = 0; k < a.rows(); ++k) {
    for (std::int64_t p = 0; p < a.columns(); ++p) {
      a(k, order[static_cast<std::size_t>(p)]) = in_order(k, p);
    }
  }
}

// a [rank, n] = upper * basis^T, the columns of `basis` orthonormal.
struct Directions {
  Matrix basis;  // [n, rank]
  Matrix upper;  // [rank, rank]
};

// The QR factors of a^T with its columns from the last to the first, turned round.
Directions directions_of(const Matrix& a) {
  const std::int64_t rank = a.rows(), n = a.columns();
  Matrix turned(n, rank);
  for (std::int64_t k = 0; k < rank; ++k) {
    for (std::int64_t j = 0; j < n; ++j) turned(j, rank - 1 - k) = a(k, j);
  }
  const Matrix r = linalg::orthonormalize(turned.view());
  Directions out{Matrix(n, rank), Matrix(rank, rank)};
  for (std::int64_t k = 0; k < rank; ++k) {
    for (std::int64_t j = 0; j < n; ++j) out.basis(j, k) = turned(j, rank - 1 - k);
    for (std::int64_t l = k; l < rank; ++l) out.upper(k, l) = r(rank - 1 - l, rank - 1 - k);
  }
  return out;
}

// What factors are once A is rounded.
struct AfterA {
  Directions directions;  // of the rounded A in coordinates
  Matrix of_a;            // [rank, rank]: A as it was, along them
};

AfterA round_a_first(const Coordinates& coordinates, Matrix& a, ElementType type) {
  Matrix before = a;
  enter_columns(coordinates, before.view());
  round_a(coordinates, a, type);
  Matrix after = a;
  enter_columns(coordinates, after.view());
  AfterA out{directions_of(after), Matrix(a.rows(), a.rows())};
  linalg::multiply(before.view(), Transpose::no, out.directions.basis.view(), Transpose::no,
                   out.of_a.view());
  return out;
}

// z with E z = (E in coordinates, but for the rows' factors) x; x [n, k].
Matrix before_coordinates(const Coordinates& coordinates, const Matrix& x) {
  Matrix z = x;
  if (!coordinates.root.empty()) {
    linalg::multiply(coordinates.root.view(), Transpose::no, x.view(), Transpose::no, z.view());
    const Matrix in_order = z;
    for (std::int64_t p = 0; p < x.rows(); ++p) {
      std::copy_n(in_order.view().row(p), x.columns(),
                  z.view().row(coordinates.order[static_cast<std::size_t>(p)]));
    }
  }
  for (std::size_t j = 0; j < coordinates.columns.size(); ++j) {
    float* row = z.view().row(static_cast<std::int64_t>(j));
    for (std::int64_t k = 0; k < z.columns(); ++k) row[k] *= coordinates.columns[j];
  }
  return z;
}

// b [m, rank] with s b upper ~ along, its elements of `type`: each makes up for those before it.
// Where `upper` does not tell, b is rounded as it is. `along` becomes what is left.
void round_b(Matrix& b, const Matrix& upper, float scale, ElementType type, Matrix& along) {
  float largest = 0.f;
  for (std::int64_t k = 0; k < upper.rows(); ++k)
    largest = std::max(largest, std::abs(upper(k, k)));
  parallel_for(b.rows(), kRowsATask, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t k = 0; k < b.columns(); ++k) {
        const float diagonal = scale * upper(k, k);
        const bool tells = std::abs(upper(k, k)) > kDependent * largest;
        b(i, k) = round_within(tells ? along(i, k) / diagonal : b(i, k), type);
        const float taken = scale * b(i, k);
        for (std::int64_t l = k; l < b.columns(); ++l) along(i, l) -= taken * upper(k, l);
      }
    }
  });
}

// The sum of squares with the rows' factors of the metric.
double weighted_squares(const Coordinates& coordinates, const Matrix& e) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < e.rows(); ++i) {
    const double factor =
        coordinates.rows.empty() ? 1.0 : coordinates.rows[static_cast<std::size_t>(i)];
    double row = 0.0;
    for (std::int64_t k = 0; k < e.columns(); ++k) row += static_cast<double>(e(i, k)) * e(i, k);
    sum += factor * factor * row;
  }
  return sum;
}

}  // namespace

void round_factors(Work& work, Decomposition& result) {
  const ElementType type = work.recipe.factor_type;
  const auto scale = static_cast<float>(work.recipe.scale);
  take_residual(result.q, work);
  subtract_product(work, result);
  const Matrix a = result.a, b = result.b;
  const auto [directions, of_a] = round_a_first(work.coordinates, result.a, type);

  // (W - Q) along the directions, as what W - Q - s B A and s B A have there.
  const Matrix z = before_coordinates(work.coordinates, directions.basis);
  Matrix along(b.rows(), a.rows());
  linalg::multiply(work.residual.view(), Transpose::no, z.view(), Transpose::no, along.view());
  linalg::multiply(b.view(), Transpose::no, of_a.view(), Transpose::no, along.view(), scale, 1.f);
  const double reached = weighted_squares(work.coordinates, along);
  round_b(result.b, directions.upper, scale, type, along);
  const double left = weighted_squares(work.coordinates, along);

  linalg::multiply(b.view(), Transpose::no, a.view(), Transpose::no, work.residual.view(), scale,
                   1.f);
  subtract_product(work, result);
  const double plain = linalg::squared_norm(work.residual.view());
  double in_metric = plain;
  if (!work.coordinates.identity()) {
    const double share = result.svd_residual.back();
    if (work.recipe.loop == Loop::low_rank_first || share == 0.0) {
      in_metric = enter_metric(work, plain);
    } else {
      // What W - Q has in the metric, less the part along the directions that B took.
      const double before = result.metric_error.back() * work.metric_norm / share;
      in_metric = before * before - reached + left;
    }
  }
  result.relative_error.pop_back();
  result.metric_error.pop_back();
  record(work, plain, in_metric, result);
}

void round_factors(Matrix& a, Matrix& b, ElementType type, const Statistics& statistics,
                   double damping, std::string_view name) {
  if (b.columns() != a.rows()) {
    throw InputError({{}, std::string(name)}, "expected factors of one rank, found " +
                                                  std::to_string(a.rows()) + " and " +
                                                  std::to_string(b.columns()));
  }
  if (a.rows() == 0) return;
  Coordinates coordinates;
  if (!statistics.gram.empty()) {
    coordinates = gram_coordinates({b.rows(), a.columns(), statistics, damping, name});
  }
  const auto [directions, of_a] = round_a_first(coordinates, a, type);
  Matrix along(b.rows(), a.rows());
  linalg::multiply(b.view(), Transpose::no, of_a.view(), Transpose::no, along.view());
  round_b(b, directions.upper, 1.f, type, along);
}

}  // namespace qloft::decompose
