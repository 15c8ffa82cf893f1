#include <algorithm>
#include <cmath>
#include <string>

#include "codebook.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "qloft/quant/scales.h"
#include "rows.h"
#include "trellis.h"

namespace qloft::quant {
namespace {

// One block's scale and offset before they are stored.
struct BlockScale {
  float scale = 0;
  float offset = 0;
};

// The scale and offset that minimise the block's squared error under the equidistant code between
// them: ranges shrunk from the full one, each followed by a linear fit of the block to its codes.
BlockScale fit_range(const kernels::Table& table, const kernels::Codebook& book, const float* x,
                     std::int64_t count, BlockScale full) {
  constexpr int kCandidates = 12;
  constexpr int kRefinements = 3;
  std::uint8_t codes[4096];
  double sum_x = 0;
  double sum_xx = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum_x += x[i];
    sum_xx += static_cast<double>(x[i]) * x[i];
  }
  BlockScale best = full;
  double least = -1;
  for (int k = 0; k < kCandidates; ++k) {
    BlockScale at = {full.scale * (1.f - static_cast<float>(k) / (kCandidates + 3)), full.offset};
    for (int step = 0; step < kRefinements; ++step) {
      double c = 0;
      double cc = 0;
      double cx = 0;
      for (std::int64_t from = 0; from < count; from += 4096) {
        const std::int64_t part = std::min<std::int64_t>(4096, count - from);
        table.encode(book, x + from, part, at.offset, 1.f / std::max(at.scale, 1e-38f), codes);
        for (std::int64_t i = 0; i < part; ++i) {
          const double value = book.values[codes[i]];
          c += value;
          cc += value * value;
          cx += value * x[from + i];
        }
      }
      const double n = static_cast<double>(count);
      const double spread = n * cc - c * c;
      if (!(spread > 0)) break;
      const double scale = (n * cx - c * sum_x) / spread;
      const double offset = (sum_x - scale * c) / n;
      const double error = sum_xx - scale * cx - offset * sum_x;
      at = {static_cast<float>(scale), static_cast<float>(offset)};
      if (scale > 0 && (least < 0 || error < least)) {
        least = error;
        best = at;
      }
    }
  }
  return best;
}

BlockScale scale_of(const kernels::Table& table, const kernels::Codebook& book,
                    const Format& format, const float* x, std::int64_t count) {
  if (format.codebook == Codebook::uniform_asymmetric) {
    float low;
    float high;
    table.minmax(x, count, &low, &high);
    const BlockScale full = {high / 2 - low / 2, low / 2 + high / 2};
    if (format.scale_rule == ScaleRule::absmax || !(full.scale > 0)) return full;
    return fit_range(table, book, x, count, full);
  }
  if (format.codebook == Codebook::trellis) {
    double square = 0;
    for (std::int64_t i = 0; i < count; ++i) square += static_cast<double>(x[i]) * x[i];
    const double root = std::sqrt(square / static_cast<double>(count));
    return {trellis_scale(format.bits) * static_cast<float>(root), 0};
  }
  const float absmax = table.absmax(x, count);
  if (format.scale_rule == ScaleRule::absmax || !(absmax > 0)) return {absmax, 0};
  return {table.fit_scale(book, x, count, absmax), 0};
}

// f16 holds no more than 65504: what is above is stored as that.
void limit_to_type(std::vector<float>& values, ElementType type) {
  if (type != ElementType::f16) return;
  for (float& value : values) value = std::clamp(value, -65504.f, 65504.f);
}

// Writes scale_codes, scale_scales and scale_offset.
void store_second_level(const std::vector<float>& scales, PackedMatrix& packed) {
  const SecondLevel& second = *packed.format().second_level;
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(second);
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

// Offsets stay as they are where none are given.
void store_scales(const BlockScales& found, PackedMatrix& packed) {
  const Format& format = packed.format();
  if (format.second_level) return store_second_level(found.scales, packed);
  std::size_t part = 1;
  for (const std::vector<float>* values : {&found.scales, &found.offsets}) {
    if (values->empty()) continue;
    std::vector<float> stored = *values;
    limit_to_type(stored, format.scale_type);
    store_floats(stored.data(), static_cast<std::int64_t>(stored.size()), format.scale_type, 0,
                 packed.bytes(part++));
  }
}

}  // namespace

BlockScales find_scales(MatrixView<const float> weight, const Format& format) {
  format.validate();
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(format);
  const std::int64_t blocks = format.blocks_per_row(weight.columns);
  const std::int64_t block = kernel_block(format, weight.columns);
  const bool offsets = format.codebook == Codebook::uniform_asymmetric;
  BlockScales out;
  out.scales.resize(static_cast<std::size_t>(weight.rows * blocks));
  if (offsets) out.offsets.resize(out.scales.size());
  parallel_for(weight.rows, rows_a_task(weight.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (!std::isfinite(table.absmax(weight.row(i), weight.columns))) {
        throw InputError("expected finite weights, found infinity or NaN in row " +
                         std::to_string(i));
      }
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t first = b * block;
        const BlockScale s = scale_of(table, book, format, weight.row(i) + first,
                                      std::min(block, weight.columns - first));
        const auto at = static_cast<std::size_t>(i * blocks + b);
        out.scales[at] = s.scale;
        if (offsets) out.offsets[at] = s.offset;
      }
    }
  });
  return out;
}

bool share_scales(const Format& a, const Format& b) {
  if (a.block != b.block || a.scale_rule != b.scale_rule) return false;
  const bool asymmetric = a.codebook == Codebook::uniform_asymmetric;
  if (asymmetric != (b.codebook == Codebook::uniform_asymmetric)) return false;
  // The largest magnitude is the same under any code; a fitted scale depends on it.
  return a.scale_rule == ScaleRule::absmax || (a.codebook == b.codebook && a.bits == b.bits);
}

PackedMatrix quantize(MatrixView<const float> weight, const Format& format) {
  return quantize(weight, format, find_scales(weight, format));
}

PackedMatrix store_scales(const Format& format, std::int64_t rows, std::int64_t columns,
                          const BlockScales& found) {
  PackedMatrix packed(format, rows, columns);
  const std::size_t count = static_cast<std::size_t>(packed.rows()) *
                            static_cast<std::size_t>(format.blocks_per_row(packed.columns()));
  const bool offsets = format.codebook == Codebook::uniform_asymmetric;
  if (found.scales.size() != count || found.offsets.size() != (offsets ? count : 0)) {
    throw InputError({{}, "scales"}, "expected one for each of " + std::to_string(count) +
                                         " blocks, found " + std::to_string(found.scales.size()));
  }
  store_scales(found, packed);
  return packed;
}

PackedMatrix quantize(MatrixView<const float> weight, const Format& format,
                      const BlockScales& found) {
  PackedMatrix packed = store_scales(format, weight.rows, weight.columns, found);
  if (format.codebook == Codebook::trellis) {
    encode_trellis(weight, block_scales(packed).view(), packed);
    return packed;
  }

  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(format);
  const std::int64_t blocks = format.blocks_per_row(weight.columns);
  const std::int64_t block = kernel_block(format, weight.columns);
  const std::int64_t row_bytes = kernels::packed_bytes(weight.columns, format.bits);
  auto* out = reinterpret_cast<std::uint8_t*>(packed.bytes(0).data());
  // QLoRA chooses codes by the scales before their second quantization, all others as stored.
  const bool as_found = format.second_level && format.second_level->code == ScaleCode::dynamic;
  parallel_for(weight.rows, rows_a_task(weight.columns), [&](std::int64_t begin, std::int64_t end) {
    RowReader reader(packed);
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(weight.columns));
    for (std::int64_t i = begin; i < end; ++i) {
      const kernels::PackedRow row = reader.row(i);
      const float* scales = as_found ? found.scales.data() + i * blocks : row.scales;
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t first = b * block;
        table.encode(book, weight.row(i) + first, std::min(block, weight.columns - first),
                     row.offsets != nullptr ? row.offsets[b] : 0.f,
                     1.f / std::max(scales[b], 1e-38f), codes.data() + first);
      }
      table.pack(codes.data(), weight.columns, format.bits, out + i * row_bytes);
    }
  });
  return packed;
}

void set_codes(PackedMatrix& packed, std::span<const std::uint8_t> codes) {
  const std::int64_t columns = packed.columns();
  if (static_cast<std::int64_t>(codes.size()) != packed.rows() * columns) {
    throw Error({{}, "codes"}, "expected " + std::to_string(packed.rows() * columns) + ", found " +
                                   std::to_string(codes.size()));
  }
  const kernels::Codebook& book = codebook_of(packed.format());
  const int levels = book.multiplier != 0 ? 1 << book.bits : book.levels;
  const auto largest = std::max_element(codes.begin(), codes.end());
  if (largest != codes.end() && *largest >= levels) {
    throw InputError({{}, "codes"}, "expected codes below " + std::to_string(levels) + ", found " +
                                        std::to_string(*largest));
  }
  const kernels::Table& table = kernels::table();
  const int bits = packed.format().bits;
  const std::int64_t row_bytes = kernels::packed_bytes(columns, bits);
  auto* out = reinterpret_cast<std::uint8_t*>(packed.bytes(0).data());
  parallel_for(packed.rows(), rows_a_task(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      table.pack(codes.data() + i * columns, columns, bits, out + i * row_bytes);
    }
  });
}

void set_scales(PackedMatrix& packed, MatrixView<const float> scales) {
  const std::int64_t blocks = packed.format().blocks_per_row(packed.columns());
  if (scales.rows != packed.rows() || scales.columns != blocks) {
    throw Error({{}, "scales"}, "expected the shape [" + std::to_string(packed.rows()) + ", " +
                                    std::to_string(blocks) + "], found [" +
                                    std::to_string(scales.rows) + ", " +
                                    std::to_string(scales.columns) + "]");
  }
  BlockScales found;
  for (std::int64_t i = 0; i < scales.rows; ++i) {
    found.scales.insert(found.scales.end(), scales.row(i), scales.row(i) + blocks);
  }
  for (const float scale : found.scales) {
    if (!std::isfinite(scale)) throw InputError({{}, "scales"}, "expected finite values");
  }
  store_scales(found, packed);
}

}  // namespace qloft::quant
