#pragma once
// What the sources of this folder put into the AVX2 table.

#include "qloft/kernels.h"

namespace qloft::kernels::avx2 {

void add_encoding(Table& table);
void add_packing(Table& table);
void add_decoding(Table& table);
void add_products(Table& table);
void add_trellis(Table& table);

// Table::absmax, for add_products.
float absmax(const float* x, std::int64_t count);

}  // namespace qloft::kernels::avx2
