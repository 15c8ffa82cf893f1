#pragma once
// The functions that the AVX-512 table has beside those of AVX2 (qloft/kernels.h says what each
// does).

#include "qloft/kernels.h"

namespace qloft::kernels::avx512_kernels {

void encode(const Codebook& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes);
void decode_f32(const Codebook& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out);
void decode_bf16(const Codebook& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out);
void prepare_activations(const float* x, std::int64_t columns, int bits, std::int16_t* fixed,
                         float* fixed_scales, float* sums);
void dot(const Codebook& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride);

}  // namespace qloft::kernels::avx512_kernels
