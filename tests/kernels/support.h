#pragma once
// What the kernel tests share: random data, and one row packed by the portable twin.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/kernels.h"
#include "qloft/kernels/int8.h"

namespace qloft::kernels {

// emulated_avx512_test.cpp; null where the emulation is not installed.
const Table* emulated_avx512();
const Int8Table* emulated_int8_avx512();

// Every set that this machine runs, and AVX-512 in emulation where it runs AVX2 alone.
inline std::vector<InstructionSet> sets() {
  std::vector<InstructionSet> out = supported_instruction_sets();
  if (out.back() == InstructionSet::avx2 && emulated_avx512() != nullptr) {
    out.push_back(InstructionSet::avx512);
  }
  return out;
}
inline const Table& table_of(InstructionSet set) {
  const auto real = supported_instruction_sets();
  const bool runs = std::find(real.begin(), real.end(), set) != real.end();
  return runs ? table(set) : *emulated_avx512();
}

inline const Int8Table& int8_table_of(InstructionSet set) {
  const auto real = supported_instruction_sets();
  const bool runs = std::find(real.begin(), real.end(), set) != real.end();
  return runs ? int8_table(set) : *emulated_int8_avx512();
}

inline std::vector<float> normal(std::int64_t count, std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(count));
  Random(seed).fill_normal(out);
  return out;
}

// `levels` uneven values from -1 to 1.
inline CodeValues uneven_book(int bits, int levels) {
  std::vector<float> values(static_cast<std::size_t>(levels));
  for (int i = 0; i < levels; ++i) {
    const float t = 2.f * static_cast<float>(i) / static_cast<float>(levels - 1) - 1.f;
    values[static_cast<std::size_t>(i)] = t < 0 ? t * std::abs(t) * 0.9f - 0.1f : t * t;
  }
  CodeValues book;
  prepare(book, values.data(), levels, bits);
  return book;
}
inline CodeValues uneven_book(int bits) {
  return uneven_book(bits, 1 << bits);
}

// Codes, scales and offsets of one row, in buffers that begin `shift` elements off alignment.
struct SampleRow {
  SampleRow(int bits, std::int64_t columns, std::int64_t block, bool with_offsets, int shift)
      : book(uneven_book(bits)) {
    Random random(static_cast<std::uint64_t>(columns * 8 + bits));
    codes.resize(static_cast<std::size_t>(columns));
    for (auto& code : codes) code = static_cast<std::uint8_t>(random.below(1u << bits));
    packed.resize(static_cast<std::size_t>(packed_bytes(columns, bits) + shift));
    table(InstructionSet::portable).pack(codes.data(), columns, bits, packed.data() + shift);
    const std::int64_t blocks = (columns + block - 1) / block;
    scales = normal(blocks + shift, 3);
    offsets = normal(blocks + shift, 4);
    row = {packed.data() + shift, scales.data() + shift,
           with_offsets ? offsets.data() + shift : nullptr, block};
  }
  float value(std::int64_t j) const {
    const float product =
        book.values[codes[static_cast<std::size_t>(j)]] * row.scales[j / row.block];
    return row.offsets != nullptr ? product + row.offsets[j / row.block] : product;
  }

  CodeValues book;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> packed;
  std::vector<float> scales;
  std::vector<float> offsets;
  PackedRow row;
};

}  // namespace qloft::kernels
