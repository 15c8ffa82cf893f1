#pragma once
// A metric as a change of coordinates: its norm of E is the Frobenius norm of E in them.

#include <cstdint>
#include <string_view>
#include <vector>

#include "qloft/decompose.h"

namespace qloft::decompose {

// E -> diag(rows) E diag(columns), or E -> diag(rows) E[:, order] root. What is empty is one.
struct Coordinates {
  std::vector<float> rows;
  std::vector<float> columns;
  // The columns of E by falling diagonal of the Gram matrix, and the upper triangular factor of it
  // in that order: (H + damping)[order, order] = root root^T.
  std::vector<std::int64_t> order;
  Matrix root;
  double damping = 0.0;

  bool identity() const { return rows.empty() && columns.empty() && root.empty(); }
};

// e [m, n] -> its coordinates, in place; its first row is row `first_row` of the matrix.
void enter(const Coordinates& coordinates, MatrixView<float> e, std::int64_t first_row = 0);
// a [rank, n] -> its coordinates but for the rows' factors, in place.
void enter_columns(const Coordinates& coordinates, MatrixView<float> a);
// a [rank, n] in coordinates -> the factor whose coordinates they are, in place; b [m, rank] too.
void leave_columns(const Coordinates& coordinates, MatrixView<float> a);
void leave_rows(const Coordinates& coordinates, MatrixView<float> b);

// What a metric makes of a matrix's statistics. Throws InputError naming `name`.
struct MetricInput {
  std::int64_t rows;
  std::int64_t columns;
  const Statistics& statistics;
  double damping;
  std::string_view name;
};
using MakeCoordinates = Coordinates (*)(const MetricInput& input);
Coordinates frobenius_coordinates(const MetricInput& input);
Coordinates fisher_coordinates(const MetricInput& input);
Coordinates gram_diagonal_coordinates(const MetricInput& input);
Coordinates gram_coordinates(const MetricInput& input);
Coordinates fisher_gram_coordinates(const MetricInput& input);

}  // namespace qloft::decompose
