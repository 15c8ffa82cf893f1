#pragma once
#include "qloft/kernels.h"

namespace qloft::kernels {

// AVX-512 F, BW, VL, DQ: avx2_table() with what is better in 512 bits.
const Table& avx512_table();

}  // namespace qloft::kernels
