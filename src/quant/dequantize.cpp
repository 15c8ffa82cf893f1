#include <algorithm>
#include <cmath>
#include <string>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "row_reader.h"

namespace qloft::quant {
namespace {

void decode(const kernels::Table& table, const kernels::CodeValues& book,
            const kernels::PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, float* out) {
  table.decode_f32(book, row, columns, first, count, out);
}
void decode(const kernels::Table& table, const kernels::CodeValues& book,
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

// Codes are fetched from memory while rows above them are decoded: the processor does not foresee
// the pieces of rows that a tile reads.
class CodeFetcher {
 public:
  CodeFetcher(const PackedMatrix& packed, std::int64_t first_column, std::int64_t columns)
      : row_bytes_(kernels::packed_bytes(packed.columns(), packed.format().bits)),
        bytes_(kernels::packed_bytes(columns, packed.format().bits)),
        rows_ahead_(ceil_divide(kAhead, std::max<std::int64_t>(1, bytes_))),
        last_row_(packed.rows() - 1),
        codes_(packed.bytes(0).data() + first_column / kernels::kGroup * 4 * packed.format().bits) {
  }
  void fetch_after(std::int64_t row) const {
    const std::byte* from = codes_ + std::min(row + rows_ahead_, last_row_) * row_bytes_;
    for (std::int64_t line = 0; line < bytes_; line += 64) __builtin_prefetch(from + line);
  }

 private:
  static constexpr std::int64_t kAhead = 8 << 10;  // bytes
  std::int64_t row_bytes_, bytes_, rows_ahead_, last_row_;
  const std::byte* codes_;
};

template <typename T>
void tile(const PackedMatrix& packed, MatrixView<T> out, std::int64_t first_row,
          std::int64_t first_column) {
  check(first_row >= 0 && first_row + out.rows <= packed.rows(), "rows", first_row, out.rows,
        packed.rows());
  check(first_column >= 0 && first_column + out.columns <= packed.columns() &&
            first_column % kernels::kGroup == 0,
        "columns from a multiple of 32", first_column, out.columns, packed.columns());
  const kernels::Table& table = kernels::table();
  const kernels::CodeValues& book = kernel_values(packed.format());
  RowReader reader(packed, first_column, out.columns);
  const CodeFetcher fetcher(packed, first_column, out.columns);
  for (std::int64_t i = 0; i < out.rows; ++i) {
    fetcher.fetch_after(first_row + i);
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
  if (!row_of(packed.format().codebook).has_offsets) return {};
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
  const kernels::CodeValues& book = kernel_values(packed.format());
  const kernels::Table& table = kernels::table();
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(packed.columns()));
  RowReader reader(packed);
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    const kernels::PackedRow row = reader.row(i);
    if (!std::isfinite(table.absmax(row.scales, blocks))) return false;
    if (row.offsets != nullptr && !std::isfinite(table.absmax(row.offsets, blocks))) return false;
    if (book.codes() == 1 << book.bits) continue;
    table.unpack(row.codes, packed.columns(), book.bits, codes.data());
    for (const std::uint8_t code : codes) {
      if (code >= book.codes()) return false;
    }
  }
  return true;
}

}  // namespace qloft::quant
