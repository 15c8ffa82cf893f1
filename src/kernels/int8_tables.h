#pragma once
#include "qloft/kernels/int8.h"

namespace qloft::kernels {

// The reciprocal of smaller scales may be no number: their elements are taken for zeros.
inline constexpr float kLeastScale = 1e-30f;

const Int8Table& int8_portable_table();
const Int8Table& int8_avx2_table();
const Int8Table& int8_avx512_table();

}  // namespace qloft::kernels
