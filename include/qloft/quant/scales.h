#pragma once
// The scales of the blocks before they are stored, for quantizing one matrix by many formats: those
// that differ only in how they store their scales find the same ones.

#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/quant.h"

namespace qloft::quant {

struct BlockScales {
  std::vector<float> scales;   // [rows, blocks_per_row], by the format's rule
  std::vector<float> offsets;  // the same; uniform_asymmetric only
};

// On all threads. Throws as quantize.
BlockScales find_scales(MatrixView<const float> weight, const Format& format);

// True if find_scales gives the same for both.
bool share_scales(const Format& a, const Format& b);

// What quantize(weight, format) gives, with `found` from find_scales for a format that shares them.
PackedMatrix quantize(MatrixView<const float> weight, const Format& format,
                      const BlockScales& found);

// A matrix of these scales, stored as the format says, whose codes are all 0.
PackedMatrix store_scales(const Format& format, std::int64_t rows, std::int64_t columns,
                          const BlockScales& found);

}  // namespace qloft::quant
