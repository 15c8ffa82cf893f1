#include "bf16_blocks.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "qloft/core/bf16_units.h"

namespace qloft::backend {
namespace {

void multiply_block_by_units(const BlockProduct& p) {
  at::native::cpublas::brgemm(p.m, p.n, p.k, p.a_stride, p.n, p.c_stride, p.add,
                              reinterpret_cast<const at::BFloat16*>(p.a),
                              reinterpret_cast<const at::BFloat16*>(p.b), p.c);
}

// Products and sums of small whole numbers are exact, so both ways agree to the bit.
bool micro_kernels_agree() {
  constexpr std::int64_t kM = kBlockRows, kN = 32, kK = 96, kStride = 48;
  std::vector<BFloat16> a(kM * kK), b(kK * kN);
  std::vector<float> found(kM * kStride, 3.f), expected = found;
  const auto fill = [](std::vector<BFloat16>& values, std::size_t period) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = BFloat16::from_float(static_cast<float>(i * i % period) - 4.f);
    }
  };
  fill(a, 11);
  fill(b, 7);
  for (const bool add : {false, true}) {
    const BlockProduct product{kM, kN, kK, a.data(), kK, b.data(), expected.data(), kStride, add};
    multiply_block_portable(product);
    BlockProduct same = product;
    same.c = found.data();
    multiply_block_by_units(same);
  }
  at::native::cpublas::brgemm_release();
  return found == expected;
}

using Words = std::uint32_t __attribute__((vector_size(16), aligned(4), may_alias));

// out [columns][rows] = in [rows][columns] of elements of 32 bits, 4 x 4 at a time.
void transpose(const void* in, std::int64_t rows, std::int64_t columns, void* out) {
  const auto* from = static_cast<const char*>(in);
  auto* to = static_cast<char*>(out);
  const auto row = [&](std::int64_t i, std::int64_t j) {
    return *reinterpret_cast<const Words*>(from + 4 * (i * columns + j));
  };
  for (std::int64_t i = 0; i < rows; i += 4) {
    for (std::int64_t j = 0; j < columns; j += 4) {
      const Words a = row(i, j), b = row(i + 1, j), c = row(i + 2, j), d = row(i + 3, j);
      const Words low_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Words high_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Words low_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Words high_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const auto column = [&](std::int64_t k) -> Words& {
        return *reinterpret_cast<Words*>(to + 4 * ((j + k) * rows + i));
      };
      column(0) = __builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5);
      column(1) = __builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7);
      column(2) = __builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5);
      column(3) = __builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7);
    }
  }
}

}  // namespace

bool has_block_units() {
  static const bool found = [] {
    if (!has_bf16_units()) return false;
    try {
      return micro_kernels_agree();
    } catch (const c10::Error&) {
      return false;  // oneDNN was told to use fewer instructions
    }
  }();
  return found;
}

void multiply_block(const BlockProduct& product) {
  if (has_block_units()) {
    multiply_block_by_units(product);
  } else {
    multiply_block_portable(product);
  }
}

void multiply_block_portable(const BlockProduct& p) {
  const auto high = [](std::uint32_t bits) { return std::bit_cast<float>(bits & 0xffff0000U); };
  const auto low = [](std::uint32_t bits) { return std::bit_cast<float>(bits << 16); };
  for (std::int64_t i = 0; i < p.m; ++i) {
    float* c = p.c + i * p.c_stride;
    if (!p.add) std::fill_n(c, p.n, 0.f);
    for (std::int64_t k = 0; k < p.k; k += 2) {
      const float first = p.a[i * p.a_stride + k].to_float();
      const float second = p.a[i * p.a_stride + k + 1].to_float();
      const BFloat16* b = p.b + k * p.n;
      for (std::int64_t j = 0; j < p.n; ++j) {
        std::uint32_t pair;
        std::memcpy(&pair, b + 2 * j, sizeof pair);
        c[j] += first * low(pair) + second * high(pair);
      }
    }
  }
}

BlockUnits::~BlockUnits() {
  if (has_block_units()) at::native::cpublas::brgemm_release();
}

void copy_block(MatrixView<const BFloat16> x, std::int64_t width, BFloat16* out) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    std::copy_n(x.row(i), x.columns, out + i * width);
    std::fill_n(out + i * width + x.columns, width - x.columns, BFloat16());
  }
  std::fill_n(out + x.rows * width, (kBlockRows - x.rows) * width, BFloat16());
}

void pack_block(const BFloat16* block, std::int64_t width, BFloat16* out) {
  for (std::int64_t i = 0; i < kBlockRows; i += 2, out += 2 * width) {
    const BFloat16 *first = block + i * width, *second = first + width;
    for (std::int64_t j = 0; j < width; ++j) {
      out[2 * j] = first[j];
      out[2 * j + 1] = second[j];
    }
  }
}

void pack_transposed_block(const BFloat16* block, std::int64_t width, BFloat16* out) {
  transpose(block, kBlockRows, width / 2, out);
}

void transpose_packed_block(const BFloat16* packed, std::int64_t width, BFloat16* out) {
  transpose(packed, kBlockRows / 2, width, out);
}

void transpose_words(const float* in, std::int64_t rows, std::int64_t columns, float* out) {
  transpose(in, rows, columns, out);
}

}  // namespace qloft::backend
