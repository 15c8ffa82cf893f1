#pragma once
// The functions of the AVX2 table (qloft/kernels.h says what each does).

#include "qloft/kernels.h"

namespace qloft::kernels::avx2 {

float absmax(const float* x, std::int64_t count);
void minmax(const float* x, std::int64_t count, float* smallest, float* largest);
void encode(const Codebook& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes);
float fit_scale(const Codebook& book, const float* x, std::int64_t count, float absmax_of_x);
void pack(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed);
void unpack(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes);
void decode_f32(const Codebook& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out);
void decode_bf16(const Codebook& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out);
void prepare_activations(const float* x, std::int64_t columns, int bits, std::int16_t* fixed,
                         float* fixed_scales, float* sums);
void dot(const Codebook& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride);
void bf16_to_f32(const BFloat16* x, std::int64_t count, float* out);
void f32_to_bf16(const float* x, std::int64_t count, BFloat16* out);

}  // namespace qloft::kernels::avx2
