#pragma once
// The windows of a trellis code's rows (kernels.h), each made from those of the row above.

#include <cstdint>
#include <vector>

#include "qloft/quant.h"

namespace qloft::quant {

// The first row that the windows of row i reach up to.
std::int64_t first_window_row(std::int64_t i, int bits);

// One object a thread.
class WindowReader {
 public:
  static constexpr std::int64_t kKept = 16;

  // Of columns [first_column, first_column + columns) alone; first_column is a multiple of 32.
  WindowReader(const PackedMatrix& packed, std::int64_t first_column, std::int64_t columns);
  // Row i's, from those of row i - 1 where these were the last to be read. [packed.columns()], of
  // which the columns of the reader are set; valid until kKept rows more were read.
  const std::uint16_t* row(std::int64_t i);

 private:
  std::uint16_t* kept(std::int64_t row) {
    return windows_.data() + row % kKept * packed_.columns();
  }

  const PackedMatrix& packed_;
  std::int64_t first_column_;
  std::int64_t columns_;
  std::int64_t next_row_ = -1;
  std::vector<std::uint16_t> windows_;  // [kKept, packed.columns()]
};

}  // namespace qloft::quant
