#pragma once
// Scales that are quantized themselves.

#include <vector>

#include "qloft/quant.h"

namespace qloft::quant {

// bitsandbytes' create_dynamic_map(signed=True, max_exponent_bits=7, total_bits=8), or 2^bits
// equidistant values from 0 to 1.
std::vector<float> second_level_values(const SecondLevel& second);

// Writes scale_codes, scale_scales and scale_offset.
void store_second_level(const std::vector<float>& scales, PackedMatrix& packed);

}  // namespace qloft::quant
