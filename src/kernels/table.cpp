#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "avx2.h"
#include "avx512.h"
#include "choose.h"
#include "layout.h"
#include "portable.h"
#include "qloft/kernels.h"

namespace qloft::kernels {
namespace {

constexpr Table kPortable = {
    .set = InstructionSet::portable,
    .absmax = portable::absmax,
    .minmax = portable::minmax,
    .encode = portable::encode,
    .fit_scale = portable::fit_scale,
    .pack = portable::pack,
    .unpack = portable::unpack,
    .decode_scales = portable::decode_scales,
    .advance_windows = portable::advance_windows,
    .search = portable::search,
    .trellis_values = portable::trellis_values,
    .decode_f32 = portable::decode_f32,
    .decode_bf16 = portable::decode_bf16,
    .prepare_activations = portable::prepare_activations,
    .dot = portable::dot,
    .dot_trellis = portable::dot_trellis,
    .add_rows = portable::add_rows,
    .bf16_to_f32 = portable::bf16_to_f32,
    .f32_to_bf16 = portable::f32_to_bf16,
};

const Table& portable_table() {
  return kPortable;
}

}  // namespace

void prepare(CodeValues& book, const float* values, int levels, int bits,
             std::uint16_t multiplier) {
  book.bits = bits;
  book.levels = levels;
  book.multiplier = multiplier;
  for (int i = 0; i < 256; ++i) book.values[i] = values[std::min(i, levels - 1)];
  for (int i = 0; i < 256; ++i) {
    book.thresholds[i] =
        i + 1 < levels ? (values[i] + values[i + 1]) / 2 : std::numeric_limits<float>::infinity();
  }
  const float largest = std::max(std::abs(values[0]), std::abs(values[levels - 1]));
  book.fixed_scale = largest / kFixedCode;
  const int repeated = multiplier != 0 ? kTrellisLevels : 1 << bits;
  for (int i = 0; i < kTrellisLevels && bits <= 4; ++i) {
    const long rounded = std::lrint(book.values[i % repeated] / largest * kFixedCode);
    book.fixed[i] = static_cast<std::int16_t>(rounded);
  }
  for (int i = 0; i < 256 && bits > 4; ++i) {
    const long rounded = std::lrint(book.values[i] / largest * kFixedCode);
    const auto value = static_cast<std::uint16_t>(rounded);
    book.fixed_bytes[0][i] = static_cast<std::uint8_t>(value);
    book.fixed_bytes[1][i] = static_cast<std::uint8_t>(value >> 8);
  }
  for (int i = 0; i < 256; ++i) {
    const auto word = std::bit_cast<std::uint32_t>(book.values[i]);
    book.value_halves[0][i] = static_cast<std::uint16_t>(word);
    book.value_halves[1][i] = static_cast<std::uint16_t>(word >> 16);
    for (int k = 0; k < 4; ++k) {
      book.value_bytes[k][i] = static_cast<std::uint8_t>(word >> (8 * k));
    }
  }
  for (int i = 0; i < 16; ++i) {
    const auto value = static_cast<std::uint16_t>(book.fixed[i]);
    book.fixed_low[i] = static_cast<std::uint8_t>(value);
    book.fixed_high[i] = static_cast<std::uint8_t>(value >> 8);
  }
}

const Table& table(InstructionSet set) {
  return choose_table<portable_table, avx2_table, avx512_table>(set);
}

const Table& table() {
  static const Table& chosen = table(chosen_instruction_set());
  return chosen;
}

}  // namespace qloft::kernels
