#include "bf16_blocks.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "bf16.h"

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

// An odd last row has zeros beside it.
void pair_rows(const BFloat16* a, const BFloat16* b, std::int64_t count, BFloat16* out) {
  for (std::int64_t j = 0; j < count; ++j) {
    out[2 * j] = a[j];
    out[2 * j + 1] = b == nullptr ? BFloat16() : b[j];
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

void transpose_block(MatrixView<const BFloat16> x, std::int64_t width, BFloat16* out) {
  for (std::int64_t j = 0; j < x.columns; ++j) {
    for (std::int64_t i = 0; i < x.rows; ++i) out[j * kBlockRows + i] = x(i, j);
    std::fill_n(out + j * kBlockRows + x.rows, kBlockRows - x.rows, BFloat16());
  }
  std::fill_n(out + x.columns * kBlockRows, (width - x.columns) * kBlockRows, BFloat16());
}

void pack_block(MatrixView<const BFloat16> x, std::int64_t width, BFloat16* out) {
  std::int64_t i = 0;
  for (; i < x.rows; i += 2, out += 2 * width) {
    pair_rows(x.row(i), i + 1 < x.rows ? x.row(i + 1) : nullptr, x.columns, out);
    std::fill_n(out + 2 * x.columns, 2 * (width - x.columns), BFloat16());
  }
  if (i < kBlockRows) std::fill_n(out, (kBlockRows - i) * width, BFloat16());
}

void pack_transposed_block(MatrixView<const BFloat16> x, std::int64_t width, BFloat16* out) {
  std::int64_t j = 0;
  for (; j < x.columns; j += 2, out += 2 * kBlockRows) {
    const std::int64_t count = std::min<std::int64_t>(2, x.columns - j);
    for (std::int64_t i = 0; i < x.rows; ++i) {
      out[2 * i] = x(i, j);
      out[2 * i + 1] = count == 2 ? x(i, j + 1) : BFloat16();
    }
    std::fill_n(out + 2 * x.rows, 2 * (kBlockRows - x.rows), BFloat16());
  }
  if (j < width) std::fill_n(out, (width - j) * kBlockRows, BFloat16());
}

}  // namespace qloft::backend
