#pragma once
// Code books, made once for each kind and kept.

#include "qloft/kernels.h"
#include "qloft/quant.h"

namespace qloft::quant {

// The prepared code book of a valid format; lives as long as the program.
const kernels::Codebook& codebook_of(const Format& format);
// That of the second level's codes: values in [-1, 1] (dynamic) or [0, 1] (uniform).
const kernels::Codebook& codebook_of(const SecondLevel& second);

// NormalFloat of `bits` >= 2 (LoftQ's create_normal_map, offset 0.9677083; at 4 bits QLoRA's NF4).
std::vector<float> normal_float(int bits);
// bitsandbytes' create_dynamic_map(signed=True, max_exponent_bits=7, total_bits=8).
std::vector<float> dynamic_map();
// Sums of one sign for every bit times the factors of residual binarization, rising, in [-1, 1].
std::vector<float> residual_binary_values(int bits);
// trellis.cpp: the 64 values of normal variables, the largest 1, their kernels' multiplier, and the
// scale for values of mean square 1.
std::vector<float> trellis_values();
std::uint16_t trellis_multiplier(int bits);
float trellis_scale(int bits);
// lloyd.cpp.
std::vector<float> lloyd_values(int bits, std::int64_t block, ScaleRule rule);

// The quantile function of the standard normal distribution, to double precision.
double normal_quantile(double probability);

}  // namespace qloft::quant
