#include <algorithm>
#include <cmath>
#include <string>

#include "codebook.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "rows.h"

namespace qloft::quant {
namespace {

void decode(const kernels::Table& table, const kernels::Codebook& book,
            const kernels::PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, float* out) {
  table.decode_f32(book, row, columns, first, count, out);
}
void decode(const kernels::Table& table, const kernels::Codebook& book,
            const kernels::PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, BFloat16* out) {
  table.decode_bf16(book, row, columns, first, count, out);
}

std::string range(std::int64_t first, std::int64_t count) {
  return std::to_string(first) + " to " + std::to_string(first + count);
}

void check(bool holds, std::string_view what, std::int64_t first, std::int64_t count,
           std::int64_t available) {
  if (holds) return;
  throw InputError({{}, "dequantize"}, "expected " + std::string(what) + " within 0 to " +
                                           std::to_string(available) + ", found " +
                                           range(first, count));
}

template <typename T>
void tile(const PackedMatrix& packed, MatrixView<T> out, std::int64_t first_row,
          std::int64_t first_column) {
  check(first_row >= 0 && first_row + out.rows <= packed.rows(), "rows", first_row, out.rows,
        packed.rows());
  check(first_column >= 0 && first_column + out.columns <= packed.columns() &&
            first_column % kernels::kGroup == 0,
        "columns from a multiple of 32", first_column, out.columns, packed.columns());
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(packed.format());
  RowReader reader(packed, first_column, out.columns);
  for (std::int64_t i = 0; i < out.rows; ++i) {
    decode(table, book, reader.row(first_row + i), packed.columns(), first_column, out.columns,
           out.row(i));
  }
}

template <typename T>
void whole_rows(const PackedMatrix& packed, MatrixView<T> out, std::int64_t first_row) {
  check(out.columns == packed.columns(), "all columns", 0, out.columns, packed.columns());
  parallel_for(out.rows, rows_a_task(out.columns), [&](std::int64_t begin, std::int64_t end) {
    tile(packed, out.block(begin, 0, end - begin, out.columns), first_row + begin, 0);
  });
}

// Rows [begin, end) of a product with a trellis code, after the rows above that their windows need.
void multiply_trellis(const PackedMatrix& q, const kernels::Activations& x, MatrixView<float> y,
                      std::int64_t begin, std::int64_t end) {
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(q.format());
  RowReader reader(q, 0, 0);  // scales alone
  std::vector<std::uint16_t> windows(static_cast<std::size_t>(kernels::trellis_windows(x.columns)));
  std::vector<float> unused(static_cast<std::size_t>(x.rows * RowReader::kAtOnce));
  for (std::int64_t r = first_window_row(begin, book.bits); r < end;) {
    if (r % kernels::kTrellisRows == 0) std::fill(windows.begin(), windows.end(), 0);
    const std::int64_t next =
        std::min(r < begin ? begin : end, round_up(r + 1, kernels::kTrellisRows));
    const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, next - r));
    const auto count = static_cast<std::int64_t>(rows.size());
    if (r < begin) {
      table.dot_trellis(book, rows.data(), count, x, unused.data(), count, windows.data());
    } else {
      table.dot_trellis(book, rows.data(), count, x, y.data + r, y.stride, windows.data());
    }
    r += count;
  }
}

}  // namespace

void dequantize(const PackedMatrix& packed, MatrixView<float> out, std::int64_t first_row) {
  whole_rows(packed, out, first_row);
}
void dequantize(const PackedMatrix& packed, MatrixView<BFloat16> out, std::int64_t first_row) {
  whole_rows(packed, out, first_row);
}
void dequantize_tile(const PackedMatrix& packed, MatrixView<float> out, std::int64_t first_row,
                     std::int64_t first_column) {
  tile(packed, out, first_row, first_column);
}
void dequantize_tile(const PackedMatrix& packed, MatrixView<BFloat16> out, std::int64_t first_row,
                     std::int64_t first_column) {
  tile(packed, out, first_row, first_column);
}

Matrix block_scales(const PackedMatrix& packed) {
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  Matrix out(packed.rows(), blocks);
  RowReader reader(packed);
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    const kernels::PackedRow row = reader.row(i);
    std::copy(row.scales, row.scales + blocks, out.data() + i * blocks);
  }
  return out;
}

Matrix block_offsets(const PackedMatrix& packed) {
  if (packed.format().codebook != Codebook::uniform_asymmetric) return {};
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  Matrix out(packed.rows(), blocks);
  RowReader reader(packed);
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    const kernels::PackedRow row = reader.row(i);
    std::copy(row.offsets, row.offsets + blocks, out.data() + i * blocks);
  }
  return out;
}

bool is_valid(const PackedMatrix& packed) {
  const kernels::Codebook& book = codebook_of(packed.format());
  const kernels::Table& table = kernels::table();
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(packed.columns()));
  RowReader reader(packed);
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    const kernels::PackedRow row = reader.row(i);
    if (!std::isfinite(table.absmax(row.scales, blocks))) return false;
    if (row.offsets != nullptr && !std::isfinite(table.absmax(row.offsets, blocks))) return false;
    if (book.levels >= 1 << book.bits) continue;
    table.unpack(row.codes, packed.columns(), book.bits, codes.data());
    for (const std::uint8_t code : codes) {
      if (code >= book.levels) return false;
    }
  }
  return true;
}

void multiply_transposed(MatrixView<const float> x, const PackedMatrix& q, MatrixView<float> y) {
  if (x.columns != q.columns() || y.rows != x.rows || y.columns != q.rows()) {
    throw InputError({{}, "multiply_transposed"},
                     "expected x [n, " + std::to_string(q.columns()) + "] and y [n, " +
                         std::to_string(q.rows()) + "], found x [" + std::to_string(x.rows) + ", " +
                         std::to_string(x.columns) + "] and y [" + std::to_string(y.rows) + ", " +
                         std::to_string(y.columns) + "]");
  }
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(q.format());
  const std::int64_t stride = kernels::fixed_columns(x.columns);
  const std::int64_t sixteens = ceil_divide<std::int64_t>(x.columns, 16);
  const bool fixed = q.format().bits <= 4;
  const bool offsets = q.format().codebook == Codebook::uniform_asymmetric;

  std::vector<std::int16_t> fixed_values(fixed ? static_cast<std::size_t>(x.rows * stride) : 0);
  std::vector<float> fixed_scales(
      fixed ? static_cast<std::size_t>(x.rows * stride / kernels::kGroup) : 0);
  std::vector<float> sums(offsets ? static_cast<std::size_t>(x.rows * sixteens) : 0);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    table.prepare_activations(book, x.row(i), x.columns,
                              fixed ? fixed_values.data() + i * stride : nullptr,
                              fixed ? fixed_scales.data() + i * stride / kernels::kGroup : nullptr,
                              offsets ? sums.data() + i * sixteens : nullptr);
  }
  const kernels::Activations activations = {
      .x = x.data,
      .stride = x.stride,
      .fixed = fixed ? fixed_values.data() : nullptr,
      .fixed_scales = fixed ? fixed_scales.data() : nullptr,
      .sums = offsets ? sums.data() : nullptr,
      .rows = x.rows,
      .columns = x.columns,
  };
  // A product takes about 20 microseconds a million elements: fewer tasks cost less to hand out.
  // Those of a trellis code begin with the rows above that their windows reach up to.
  constexpr std::int64_t kTrellisTask = 128;
  const std::int64_t rows_at_once =
      book.multiplier != 0 ? kTrellisTask : 4 * rows_a_task(q.columns());
  parallel_for(q.rows(), rows_at_once, [&](std::int64_t begin, std::int64_t end) {
    if (book.multiplier != 0) {
      if (x.rows > 0) multiply_trellis(q, activations, y, begin, end);
      return;
    }
    RowReader reader(q);
    for (std::int64_t r = begin; r < end; r += RowReader::kAtOnce) {
      const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, end - r));
      table.dot(book, rows.data(), static_cast<std::int64_t>(rows.size()), activations, y.data + r,
                y.stride);
    }
  });
}

}  // namespace qloft::quant
