#include <algorithm>
#include <string>

#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// Columns of a block of the triangle.
constexpr std::int64_t kBlock = 256;

}  // namespace

void add_gram(MatrixView<const float> x, std::span<float> gram) {
  const std::int64_t n = x.columns;
  if (std::ssize(gram) != n * (n + 1) / 2) {
    throw Error({{}, "add_gram"}, "shapes disagree: " + shape_text({x.rows, n}) +
                                      " into a triangle of " + std::to_string(gram.size()));
  }
  // Blocks on and above the diagonal, row by row.
  const std::int64_t blocks = ceil_divide(n, kBlock);
  parallel_for(blocks * (blocks + 1) / 2, 1, [&](std::int64_t begin, std::int64_t end) {
    Matrix product(kBlock, kBlock);
    for (std::int64_t task = begin; task < end; ++task) {
      std::int64_t i = 0, rest = task;
      while (rest >= blocks - i) rest -= blocks - i++;
      const std::int64_t row = i * kBlock, column = (i + rest) * kBlock;
      const std::int64_t rows = std::min(kBlock, n - row), columns = std::min(kBlock, n - column);
      multiply_serial(x.block(0, row, x.rows, rows), Transpose::yes,
                      x.block(0, column, x.rows, columns), Transpose::no,
                      product.view().block(0, 0, rows, columns));
      for (std::int64_t r = row; r < row + rows; ++r) {
        float* sums = gram.data() + triangle_row(r, n) + column;
        const float* values = product.view().row(r - row);
        for (std::int64_t c = std::max(r - column, std::int64_t{0}); c < columns; ++c) {
          sums[c] += values[c];
        }
      }
    }
  });
}

}  // namespace qloft::linalg
