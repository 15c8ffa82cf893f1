#pragma once
// Shapes as BLAS and LAPACK take them.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/matrix.h"
#include "qloft/core/text.h"
#include "qloft/linalg.h"

namespace qloft::linalg {

// BLAS counts in int. Throws Error for a larger matrix.
template <typename T>
void check_extent(MatrixView<T> a) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (a.rows < 0 || a.columns < 0 || a.rows > kMost || a.columns > kMost || a.stride > kMost) {
    throw Error({{}, "matrix"}, "too large: " + shape_text({a.rows, a.columns}));
  }
}

// The distance between rows, never 0 (BLAS refuses that even for an empty matrix).
template <typename T>
int leading(MatrixView<T> a) {
  return static_cast<int>(std::max<std::int64_t>({1, a.stride, a.columns}));
}

// c = a b, either of these transposed: [rows, inner] times [inner, columns].
struct ProductShape {
  std::int64_t rows, inner, columns;
};

// Throws Error where the three do not fit, or one is too large.
inline ProductShape product_shape(MatrixView<const float> a, Transpose transpose_a,
                                  MatrixView<const float> b, Transpose transpose_b,
                                  MatrixView<const float> c) {
  const auto taken = [](MatrixView<const float> m, Transpose transpose) {
    return transpose == Transpose::no ? std::pair{m.rows, m.columns} : std::pair{m.columns, m.rows};
  };
  const auto [rows, inner] = taken(a, transpose_a);
  const auto [inner_b, columns] = taken(b, transpose_b);
  if (inner != inner_b || c.rows != rows || c.columns != columns) {
    throw Error({{}, "multiply"}, "shapes disagree: " + shape_text({rows, inner}) + " times " +
                                      shape_text({inner_b, columns}) + " into " +
                                      shape_text({c.rows, c.columns}));
  }
  check_extent(a);
  check_extent(b);
  check_extent(c);
  return {rows, inner, columns};
}

}  // namespace qloft::linalg
