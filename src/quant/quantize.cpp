#include <algorithm>
#include <string>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/error.h"
#include "qloft/core/threads.h"
#include "row_reader.h"

namespace qloft::quant {

PackedMatrix quantize(MatrixView<const float> weight, const Format& format) {
  return quantize(weight, format, find_scales(weight, format));
}

PackedMatrix quantize(MatrixView<const float> weight, const Format& format,
                      const BlockScales& found) {
  PackedMatrix packed = store_scales(format, weight.rows, weight.columns, found);
  row_of(format.codebook).coding.encode(weight, found, packed);
  return packed;
}

void set_codes(PackedMatrix& packed, std::span<const std::uint8_t> codes) {
  const std::int64_t columns = packed.columns();
  if (static_cast<std::int64_t>(codes.size()) != packed.rows() * columns) {
    throw Error({{}, "codes"}, "expected " + std::to_string(packed.rows() * columns) + ", found " +
                                   std::to_string(codes.size()));
  }
  const int in_use = kernel_values(packed.format()).codes();
  const auto largest = std::max_element(codes.begin(), codes.end());
  if (largest != codes.end() && *largest >= in_use) {
    throw InputError({{}, "codes"}, "expected codes below " + std::to_string(in_use) + ", found " +
                                        std::to_string(*largest));
  }
  const kernels::Table& table = kernels::table();
  const int bits = packed.format().bits;
  const std::int64_t row_bytes = kernels::packed_bytes(columns, bits);
  auto* out = reinterpret_cast<std::uint8_t*>(packed.bytes(0).data());
  parallel_for(packed.rows(), rows_a_task(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      table.pack(codes.data() + i * columns, columns, bits, out + i * row_bytes);
    }
  });
}

}  // namespace qloft::quant
