#include "root_bytes.h"

#include <algorithm>

#include "qloft/core.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

using kernels::kInt8Block;
using kernels::kInt8Columns;
using kernels::kInt8Rows;

static_assert(kFeedbackColumns == kInt8Block);
constexpr std::int64_t kTiles = kFeedbackColumns / kInt8Columns;

}  // namespace

// Block J has kTiles tiles of J blocks.
std::size_t RootBytes::offset(std::int64_t column) {
  const std::int64_t block = column / kFeedbackColumns;
  return static_cast<std::size_t>(kTiles * (block * (block - 1) / 2) +
                                  column % kFeedbackColumns / kInt8Columns * block);
}

RootBytes::RootBytes(MatrixView<const float> root) {
  const std::int64_t n = root.columns, blocks = ceil_divide(n, kFeedbackColumns);
  weights_.resize(offset(blocks * kFeedbackColumns));
  const kernels::Int8Table& table = kernels::int8_table();
  parallel_for(ceil_divide(n, kInt8Columns), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t column = t * kInt8Columns, width = std::min(kInt8Columns, n - column);
      kernels::Int8Weights* out = weights_.data() + offset(column);
      for (std::int64_t k = 0; k < column / kFeedbackColumns; ++k) {
        table.quantize_transposed_weights(root.row(k * kInt8Block) + column, root.stride,
                                          kInt8Block, width, out + k);
      }
    }
  });
}

PieceErrors::PieceErrors(std::int64_t rows, MatrixView<const float> root, const RootBytes* bytes)
    : rows_(rows), root_(root), bytes_(bytes) {
  if (bytes == nullptr) {
    errors_ = Matrix(root.rows, rows);
  } else {
    blocks_ = ceil_divide(root.rows, kInt8Block);
    activations_.resize(static_cast<std::size_t>(ceil_divide(rows, kInt8Rows) * blocks_));
  }
}

void PieceErrors::product(std::int64_t first, std::int64_t count, MatrixView<float> sums) const {
  if (first == 0) {
    for (std::int64_t p = 0; p < count; ++p) std::fill_n(sums.row(p), rows_, 0.f);
    return;
  }
  if (bytes_ == nullptr) {
    linalg::multiply_serial(root_.block(0, first, first, count), linalg::Transpose::yes,
                            errors_.view().block(0, 0, first, rows_), linalg::Transpose::no, sums);
    return;
  }
  const kernels::Int8Table& table = kernels::int8_table();
  float tile[kInt8Rows * kInt8Columns];
  for (std::int64_t i = 0; i < rows_; i += kInt8Rows) {
    const std::int64_t rows = std::min(kInt8Rows, rows_ - i);
    const kernels::Int8Activations* x = activations_.data() + i / kInt8Rows * blocks_;
    for (std::int64_t p = 0; p < count; p += kInt8Columns) {
      table.multiply(x, bytes_->tile(first + p), first / kInt8Block, tile);
      const std::int64_t columns = std::min(kInt8Columns, count - p);
      for (std::int64_t k = 0; k < columns; ++k) {
        float* to = sums.row(p + k) + i;
        for (std::int64_t r = 0; r < rows; ++r) to[r] = tile[r * kInt8Columns + k];
      }
    }
  }
}

void PieceErrors::take(std::int64_t first, MatrixView<const float> e) {
  if (bytes_ == nullptr) {
    for (std::int64_t p = 0; p < e.rows; ++p) std::copy_n(e.row(p), rows_, &errors_(first + p, 0));
    return;
  }
  float rows[kInt8Rows * kInt8Block];
  for (std::int64_t i = 0; i < rows_; i += kInt8Rows) {
    const std::int64_t count = std::min(kInt8Rows, rows_ - i);
    for (std::int64_t p = 0; p < e.rows; ++p) {
      const float* from = e.row(p) + i;
      for (std::int64_t r = 0; r < count; ++r) rows[r * kInt8Block + p] = from[r];
    }
    kernels::int8_table().quantize_activations(
        rows, kInt8Block, count, e.rows,
        activations_.data() + i / kInt8Rows * blocks_ + first / kInt8Block);
  }
}

double enter_by_bytes(const Coordinates& coordinates, const RootBytes& bytes,
                      MatrixView<const float> w, std::optional<MatrixView<float>> out) {
  constexpr std::int64_t kRows = 256;
  const MatrixView<const float> root = coordinates.root.view();
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(w.rows, kRows)));
  parallel_for(w.rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t rows = end - begin;
    PieceErrors piece(rows, root, &bytes);
    piece.start(rows);
    Matrix part(kFeedbackColumns, rows), image(kFeedbackColumns, rows);
    double sum = 0.0;
    for (std::int64_t first = 0; first < w.columns; first += kFeedbackColumns) {
      const std::int64_t count = std::min(kFeedbackColumns, w.columns - first);
      const MatrixView<float> e = part.view().block(0, 0, count, rows);
      const MatrixView<float> to = image.view().block(0, 0, count, rows);
      for (std::int64_t i = 0; i < rows; ++i) {
        const float* row = w.row(begin + i);
        const auto row_at = static_cast<std::size_t>(begin + i);
        const float factor = coordinates.rows.empty() ? 1.f : coordinates.rows[row_at];
        for (std::int64_t p = 0; p < count; ++p) {
          e(p, i) = factor * row[coordinates.order[static_cast<std::size_t>(first + p)]];
        }
      }
      piece.product(first, count, to);
      linalg::multiply_serial(root.block(first, first, count, count), linalg::Transpose::yes, e,
                              linalg::Transpose::no, to, 1.f, 1.f);
      piece.take(first, e);
      sum += linalg::squared_norm(to);
      for (std::int64_t i = 0; out && i < rows; ++i) {
        float* row = out->row(begin + i) + first;
        for (std::int64_t p = 0; p < count; ++p) row[p] = to(p, i);
      }
    }
    sums[static_cast<std::size_t>(begin / kRows)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace qloft::decompose
