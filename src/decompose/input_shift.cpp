#include "input_shift.h"

#include <cmath>
#include <string>

#include "qloft/core.h"
#include "qloft/core/text.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

using linalg::Transpose;

// Rows whose products are held at once.
constexpr std::int64_t kRows = 512;

void check(const Statistics& statistics, const Coordinates& coordinates, std::int64_t columns,
           std::string_view name) {
  const Matrix& shift = statistics.shift;
  const ErrorLocation where{{}, std::string(name) + ", shift of the inputs"};
  if (coordinates.root.empty()) {
    throw InputError(where, "expected a metric with a Gram matrix (gram or fisher-gram)");
  }
  if (shift.rows() != columns || shift.columns() != columns) {
    throw InputError(where, "expected the shape " + shape_text({columns, columns}) + ", found " +
                                shape_text({shift.rows(), shift.columns()}));
  }
  if (!std::isfinite(linalg::squared_norm(shift.view()))) {
    throw InputError(where, "expected finite values, found infinity or NaN");
  }
}

}  // namespace

Matrix for_shifted_inputs(MatrixView<const float> weight, const Statistics& statistics,
                          const Coordinates& coordinates, std::string_view name) {
  check(statistics, coordinates, weight.columns, name);
  const std::vector<std::int64_t>& order = coordinates.order;
  const auto columns = static_cast<std::size_t>(weight.columns);
  Matrix out(weight.rows, weight.columns);
  for (std::int64_t begin = 0; begin < weight.rows; begin += kRows) {
    const std::int64_t count = std::min(kRows, weight.rows - begin);
    Matrix product(count, weight.columns), in_order(count, weight.columns);
    linalg::multiply(weight.block(begin, 0, count, weight.columns), Transpose::no,
                     statistics.shift.view(), Transpose::no, product.view());
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::size_t p = 0; p < columns; ++p) {
        in_order(i, static_cast<std::int64_t>(p)) = product(i, order[p]);
      }
    }
    // (H + damping)^-1 in this order is root^-T root^-1.
    linalg::solve_upper(in_order.view(), coordinates.root.view(), Transpose::yes);
    linalg::solve_upper(in_order.view(), coordinates.root.view());
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = weight.row(begin + i);
      for (std::size_t p = 0; p < columns; ++p) {
        out(begin + i, order[p]) = row[order[p]] + in_order(i, static_cast<std::int64_t>(p));
      }
    }
  }
  return out;
}

}  // namespace qloft::decompose
