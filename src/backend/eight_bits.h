#pragma once
// How decoding has in 8 bits what it reads again with every token: an adapter's factors and the
// output matrix.

#include "qloft/quant.h"

namespace qloft::backend {

// NF8 in blocks of 64 with f32 scales: 8.5 bits a value, less error than equidistant values.
inline quant::Format eight_bits() {
  quant::Format format;
  format.bits = 8;
  return format;
}

}  // namespace qloft::backend
