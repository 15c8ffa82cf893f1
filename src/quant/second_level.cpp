#include "second_level.h"

#include <algorithm>
#include <cmath>

#include "codebooks/linspace.h"
#include "kernel_values.h"
#include "row_reader.h"

namespace qloft::quant {
namespace {

std::vector<float> dynamic_map() {
  // Seven decades; decade i has 2^i values a sign, the middles of an even division of [0.1, 1].
  constexpr int kDecades = 7;
  std::vector<float> values = {0.f, 1.f};
  for (int i = 0; i < kDecades; ++i) {
    const std::vector<float> edges = linspace(0.1f, 1.f, (1 << i) + 1);
    const double power = std::pow(10.0, i - (kDecades - 1));
    for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
      const float middle = (edges[k] + edges[k + 1]) / 2.f;
      const float value = static_cast<float>(power) * middle;
      values.push_back(value);
      values.push_back(-value);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

std::vector<float> second_level_values(const SecondLevel& second) {
  if (second.code == ScaleCode::dynamic) return dynamic_map();
  return linspace(0.f, 1.f, 1 << second.bits);
}

void store_second_level(const std::vector<float>& scales, PackedMatrix& packed) {
  const SecondLevel& second = *packed.format().second_level;
  const kernels::Table& table = kernels::table();
  const kernels::CodeValues& book = kernel_values(second);
  const auto count = static_cast<std::int64_t>(scales.size());
  if (count == 0) return;
  float offset;
  if (second.code == ScaleCode::dynamic) {
    double sum = 0;
    for (const float scale : scales) sum += scale;
    offset = static_cast<float>(sum / static_cast<double>(count));
  } else {
    offset = *std::min_element(scales.begin(), scales.end());
  }
  store_floats(&offset, 1, ElementType::f32, 0, packed.bytes(3));
  std::vector<std::uint8_t> codes(scales.size());
  std::vector<float> centred(static_cast<std::size_t>(second.block));
  for (std::int64_t first = 0, b = 0; first < count; first += second.block, ++b) {
    const std::int64_t part = std::min(second.block, count - first);
    for (std::int64_t i = 0; i < part; ++i) {
      centred[static_cast<std::size_t>(i)] = scales[static_cast<std::size_t>(first + i)] - offset;
    }
    const float largest = table.absmax(centred.data(), part);
    std::vector<float> stored = {largest};
    limit_to_type(stored, second.type);
    store_floats(stored.data(), 1, second.type, b, packed.bytes(2));
    const float read = load_float(packed.bytes(2), second.type, b);
    table.encode(book, centred.data(), part, 0.f, 1.f / std::max(read, 1e-38f),
                 codes.data() + first);
  }
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  const std::int64_t row_bytes = kernels::packed_bytes(blocks, second.bits);
  auto* out = reinterpret_cast<std::uint8_t*>(packed.bytes(1).data());
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    table.pack(codes.data() + i * blocks, blocks, second.bits, out + i * row_bytes);
  }
}

}  // namespace qloft::quant
