#pragma once
// One row of a packed matrix as the kernels take it.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codebooks/windows.h"
#include "qloft/kernels.h"
#include "qloft/quant.h"

namespace qloft::quant {

// Rows a task of parallel_for: about 65,536 elements.
std::int64_t rows_a_task(std::int64_t columns);

// The block length that kernels see: that of the format, or the whole row.
std::int64_t kernel_block(const Format& format, std::int64_t columns);

// Reads a few rows at a time; scales that are not stored as f32 go through its own buffers. One
// object a thread.
class RowReader {
 public:
  static constexpr std::int64_t kAtOnce = WindowReader::kKept;

  // Codes are read of columns [first_column, first_column + columns) alone; first_column is a
  // multiple of 32. With no columns only scales are read.
  RowReader(const PackedMatrix& packed, std::int64_t first_column, std::int64_t columns);
  explicit RowReader(const PackedMatrix& packed) : RowReader(packed, 0, packed.columns()) {}
  // Rows [first, first + count), count <= kAtOnce. Both are valid until the next call of either.
  // Rows that follow each other are the quickest to read.
  std::span<const kernels::PackedRow> rows(std::int64_t first, std::int64_t count);
  kernels::PackedRow row(std::int64_t i) { return rows(i, 1).front(); }

 private:
  // The f32 values of a row of `part`, in place or in `buffer`.
  const float* floats(std::size_t part, std::int64_t i, float* buffer) const;
  // The scales of rows [first, first + count) into scales_.
  void read_second_level(std::int64_t first, std::int64_t count);

  const PackedMatrix& packed_;
  const kernels::Table& table_;
  const kernels::CodeValues* second_book_;  // null without a second level
  std::int64_t blocks_;
  std::int64_t block_;
  float second_offset_ = 0;
  std::array<kernels::PackedRow, kAtOnce> rows_;
  std::vector<float> scales_;   // [kAtOnce, blocks]
  std::vector<float> offsets_;  // the same
  std::vector<std::uint8_t> codes_;
  std::optional<WindowReader> windows_;
};

// Stores `count` floats as `type` from element `first` on.
void store_floats(const float* values, std::int64_t count, ElementType type, std::int64_t first,
                  std::span<std::byte> out);
// f16 holds no more than 65504: what is above is stored as that.
void limit_to_type(std::vector<float>& values, ElementType type);
// Element i of floats stored as `type`.
float load_float(std::span<const std::byte> in, ElementType type, std::int64_t i);

}  // namespace qloft::quant
