#pragma once
// What the sources of this folder put into the AVX-512 table in place of AVX2's.

#include "qloft/kernels.h"

namespace qloft::kernels::avx512_kernels {

void add_encoding(Table& table);
void add_decoding(Table& table);
void add_scales(Table& table);
void add_products(Table& table);
void add_trellis(Table& table);

}  // namespace qloft::kernels::avx512_kernels
