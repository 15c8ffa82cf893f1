#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "int8_tables.h"

namespace qloft::kernels {
namespace {

#include "int8_loops.h"

void multiply(const Int8Activations* x, const Int8Weights* w, std::int64_t blocks, float* y) {
  std::fill(y, y + kRows * kColumns, 0.f);
  for (std::int64_t b = 0; b < blocks; ++b, ++x, ++w) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kColumns; ++j) {
        std::int32_t sum = x->sums[i];
        for (int q = 0; q < kBlock / 4; ++q) {
          for (int e = 0; e < 4; ++e) sum += x->codes[q][i][e] * w->codes[q][j][e];
        }
        y[i * kColumns + j] += static_cast<float>(sum) * w->scales[j] * x->scales[i];
      }
    }
  }
}

constexpr Int8Table kTable = table_of(InstructionSet::portable);

}  // namespace

const Int8Table& int8_portable_table() {
  return kTable;
}

}  // namespace qloft::kernels
