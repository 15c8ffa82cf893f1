#pragma once
// Shapes as LAPACK takes them.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "qloft/core/error.h"
#include "qloft/core/matrix.h"
#include "qloft/core/text.h"

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

}  // namespace qloft::linalg
