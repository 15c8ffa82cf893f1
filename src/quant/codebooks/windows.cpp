#include "codebooks/windows.h"

#include <algorithm>

#include "qloft/core/checked.h"
#include "qloft/kernels.h"

namespace qloft::quant {

std::int64_t first_window_row(std::int64_t i, int bits) {
  const std::int64_t reach = ceil_divide(kernels::kTrellisWindowBits, bits) - 1;
  return std::max(i - i % kernels::kTrellisRows, i - reach);
}

WindowReader::WindowReader(const PackedMatrix& packed, std::int64_t first_column,
                           std::int64_t columns)
    : packed_(packed),
      first_column_(first_column),
      columns_(columns),
      windows_(static_cast<std::size_t>(kKept * packed.columns())) {}

const std::uint16_t* WindowReader::row(std::int64_t i) {
  const int bits = packed_.format().bits;
  const std::int64_t row_bytes = kernels::packed_bytes(packed_.columns(), bits);
  const auto* codes = reinterpret_cast<const std::uint8_t*>(packed_.bytes(0).data()) +
                      first_column_ / kernels::kGroup * 4 * bits;
  const std::int64_t begin = i - i % kernels::kTrellisRows, first = first_window_row(i, bits);
  const std::int64_t from = next_row_ >= first && next_row_ <= i ? next_row_ : first;
  for (std::int64_t row = from; row <= i; ++row) {
    const bool alone = row == begin || (row == from && from != next_row_);
    const std::uint16_t* above = alone ? nullptr : kept(row - 1 + kKept) + first_column_;
    kernels::table().advance_windows(codes + row * row_bytes, columns_, bits, above,
                                     kept(row) + first_column_);
  }
  next_row_ = i + 1;
  return kept(i);
}

}  // namespace qloft::quant
