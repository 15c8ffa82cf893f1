#pragma once
#include "qloft/kernels/dense.h"

namespace qloft::kernels {

const DenseTable& dense_portable_table();
const DenseTable& dense_avx2_table();
const DenseTable& dense_avx512_table();

}  // namespace qloft::kernels
