#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "int8_tables.h"

namespace qloft::kernels {
namespace {

constexpr int kBlock = static_cast<int>(kInt8Block);
constexpr int kRows = static_cast<int>(kInt8Rows);
constexpr int kColumns = static_cast<int>(kInt8Columns);

// Magnitudes are compared by their bits: infinity lies above all numbers, NaN above infinity.
inline std::int32_t magnitude(float x) {
  return std::bit_cast<std::int32_t>(x) & 0x7fffffff;
}
constexpr std::int32_t kInfinity = 0x7f800000;

// What elements are multiplied with to give codes, and codes with to give elements.
struct Factors {
  float to_code, to_element;
};
inline Factors factors_of(std::int32_t largest) {
  const float most = static_cast<float>(kInt8Most);
  if (largest >= kInfinity) return {0.f, std::numeric_limits<float>::quiet_NaN()};
  const float scale = std::bit_cast<float>(largest) / most;
  return scale < kLeastScale ? Factors{0.f, 0.f} : Factors{1.f / scale, scale};
}

// The nearest whole number, ties to even, of the small ones that codes are. Zeros for elements of
// blocks that hold NaN, which a factor of 0 leaves as they are.
inline std::int32_t code_of(float x, float to_code) {
  const float round = 12582912.f;  // 1.5 * 2^23
  const float product = to_code == 0.f ? 0.f : x * to_code;
  return std::bit_cast<std::int32_t>(product + round) - std::bit_cast<std::int32_t>(round);
}

// One row's part of a block, and its factor.
inline float quantize_block(const float* x, std::int64_t count, std::int8_t* codes) {
  float padded[kBlock];
  if (count < kBlock) {
    for (int k = 0; k < kBlock; ++k) padded[k] = k < count ? x[k] : 0.f;
    x = padded;
  }
  std::int32_t largest = 0;
  for (int k = 0; k < kBlock; ++k) largest = std::max(largest, magnitude(x[k]));
  const Factors factors = factors_of(largest);
  for (int k = 0; k < kBlock; ++k) {
    codes[k] = static_cast<std::int8_t>(code_of(x[k], factors.to_code));
  }
  return factors.to_element;
}

void quantize_activations(const float* x, std::int64_t stride, std::int64_t rows,
                          std::int64_t columns, Int8Activations* out) {
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    for (int i = 0; i < kRows; ++i) {
      std::int8_t codes[kBlock];
      const std::int64_t count = i < rows ? std::min<std::int64_t>(kBlock, columns - first) : 0;
      out->scales[i] = quantize_block(x + (i < rows ? i * stride + first : 0), count, codes);
      std::int32_t sum = 0;
      for (const std::int8_t code : codes) sum += code;
      out->sums[i] = -kInt8Zero * sum;
      for (int q = 0; q < kBlock / 4; ++q) std::memcpy(out->codes[q][i], codes + 4 * q, 4);
    }
  }
}

void quantize_weights(const float* w, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                      Int8Weights* out) {
  for (std::int64_t first = 0; first < columns; first += kBlock, ++out) {
    for (int i = 0; i < kColumns; ++i) {
      std::int8_t codes[kBlock];
      const std::int64_t count = i < rows ? std::min<std::int64_t>(kBlock, columns - first) : 0;
      out->scales[i] = quantize_block(w + (i < rows ? i * stride + first : 0), count, codes);
      for (std::int8_t& code : codes) code = static_cast<std::int8_t>(code ^ kInt8Zero);
      for (int q = 0; q < kBlock / 4; ++q) std::memcpy(out->codes[q][i], codes + 4 * q, 4);
    }
  }
}

void quantize_transposed_weights(const float* w, std::int64_t stride, std::int64_t rows,
                                 std::int64_t columns, Int8Weights* out) {
  float padded[kBlock * kColumns];
  if (rows < kBlock || columns < kColumns) {
    for (int k = 0; k < kBlock; ++k) {
      for (int i = 0; i < kColumns; ++i) {
        padded[k * kColumns + i] = k < rows && i < columns ? w[k * stride + i] : 0.f;
      }
    }
    w = padded;
    stride = kColumns;
  }
  std::int32_t largest[kColumns] = {};
  for (int k = 0; k < kBlock; ++k) {
    for (int i = 0; i < kColumns; ++i) {
      largest[i] = std::max(largest[i], magnitude(w[k * stride + i]));
    }
  }
  float to_code[kColumns];
  for (int i = 0; i < kColumns; ++i) {
    const Factors factors = factors_of(largest[i]);
    to_code[i] = factors.to_code;
    out->scales[i] = factors.to_element;
  }
  for (int q = 0; q < kBlock / 4; ++q) {
    const float* four = w + 4 * q * stride;
    std::uint32_t words[kColumns];
    for (int i = 0; i < kColumns; ++i) {
      std::uint32_t word = 0;
      for (int e = 0; e < 4; ++e) {
        const std::int32_t code = code_of(four[e * stride + i], to_code[i]) + kInt8Zero;
        word |= static_cast<std::uint32_t>(code) << (8 * e);
      }
      words[i] = word;
    }
    std::memcpy(out->codes[q], words, sizeof words);
  }
}

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

constexpr Int8Table kTable = {
    .set = InstructionSet::portable,
    .quantize_activations = quantize_activations,
    .quantize_weights = quantize_weights,
    .quantize_transposed_weights = quantize_transposed_weights,
    .multiply = multiply,
};

}  // namespace

const Int8Table& int8_portable_table() {
  return kTable;
}

}  // namespace qloft::kernels
