#pragma once
// Trellis codes: all codes of a column are chosen together.

#include "qloft/quant.h"

namespace qloft::quant {

// Sets the codes of `packed` to those of least squared error; scales [rows, blocks_per_row].
void encode_trellis(MatrixView<const float> weight, MatrixView<const float> scales,
                    PackedMatrix& packed);

}  // namespace qloft::quant
