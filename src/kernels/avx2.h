#pragma once
#include "qloft/kernels.h"

namespace qloft::kernels {

// AVX2, FMA, F16C.
const Table& avx2_table();

}  // namespace qloft::kernels
