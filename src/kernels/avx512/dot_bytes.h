#pragma once
// Products of packed rows of 8 bits in fixed point.

#include <cstdint>

#include "qloft/kernels.h"

namespace qloft::kernels::avx512_kernels {

// Whether this processor has the instructions (VBMI) that the others need.
bool multiplies_bytes();

// Fixed-point activations and their scales, of `columns`, a multiple of kGroup.
void prepare_for_bytes(const float* x, std::int64_t columns, std::int16_t* fixed,
                       float* fixed_scales);

// Table::dot with these; the block length is a power of two from 64 on.
void dot_bytes(const CodeValues& book, const PackedRow* rows, std::int64_t count,
               const Activations& x, float* y, std::int64_t y_stride);

}  // namespace qloft::kernels::avx512_kernels
