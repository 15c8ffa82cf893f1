#include <algorithm>
#include <cmath>
#include <vector>

#include "parts.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Columns whose feedback onto each other is one product with all columns before them, and rows that
// go through them together, one vector lane each.
constexpr std::int64_t kColumnsAtOnce = 128;
constexpr std::int64_t kRowLanes = 32;

// What the rows of one piece need: the code book, and each row's scales and offsets by block.
struct Codes {
  std::vector<float> values;
  std::vector<float> thresholds;  // values.size() - 1, halfway between neighbours
  Matrix scales;                  // [rows, blocks]
  Matrix offsets;                 // [rows, blocks], or empty
  std::int64_t block;
};

Codes codes_of(const quant::PackedMatrix& packed) {
  Codes out;
  out.values = quant::code_values(packed.format());
  for (std::size_t k = 0; k + 1 < out.values.size(); ++k) {
    out.thresholds.push_back((out.values[k] + out.values[k + 1]) / 2);
  }
  out.scales = quant::block_scales(packed);
  out.offsets = quant::block_offsets(packed);
  out.block = packed.format().block != 0 ? packed.format().block
                                         : std::max<std::int64_t>(1, packed.columns());
  return out;
}

// One column of a piece: the nearest code of t, its value in `q`.
void encode_column(const Codes& codes, const float* t, const float* scales, const float* offsets,
                   std::int64_t count, std::uint8_t* out, float* q) {
  float at[kRowLanes];
  std::int32_t found[kRowLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) {
    at[i] = (t[i] - offsets[i]) / std::max(scales[i], 1e-38f);
  }
  for (const float threshold : codes.thresholds) {
    for (std::int64_t i = 0; i < count; ++i) found[i] += at[i] > threshold ? 1 : 0;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(found[i]);
    q[i] = scales[i] * codes.values[static_cast<std::size_t>(found[i])] + offsets[i];
  }
}

}  // namespace

// GPTQ (Frantar et al. 2022) as Babai's nearest plane: with H = R R^T, R upper triangular, the
// squared error is the sum over columns p of (E R)_p, which column p makes least by the code
// nearest to W_p + (sum over k < p of E_k R_kp) / R_pp, E = W - Q. The columns go by falling
// diagonal of H
// ("activation order"); the scales of all blocks are those of nearest codes, so that a block stays
// a run of neighbouring columns.
quant::PackedMatrix quantize_gptq(MatrixView<const float> target, const Work& work) {
  quant::PackedMatrix packed = quant::quantize(target, work.recipe.format);
  const Codes codes = codes_of(packed);
  const std::vector<std::int64_t>& order = work.coordinates.order;
  const MatrixView<const float> root = work.coordinates.root.view();
  const std::int64_t rows = target.rows, columns = target.columns;
  const Matrix zeros(1, kRowLanes);

  Matrix error(rows, columns);  // W - Q, columns in order
  Matrix wanted(rows, kColumnsAtOnce);
  std::vector<std::uint8_t> found(static_cast<std::size_t>(rows * columns));
  for (std::int64_t first = 0; first < columns; first += kColumnsAtOnce) {
    const std::int64_t count = std::min(kColumnsAtOnce, columns - first);
    // The columns before this block, all at once: (E R)_p without the block's own part.
    const MatrixView<float> before = wanted.view().block(0, 0, rows, count);
    if (first > 0) {
      linalg::multiply(error.view().block(0, 0, rows, first), linalg::Transpose::no,
                       root.block(0, first, first, count), linalg::Transpose::no, before);
    }
    parallel_for(rows, kRowLanes, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t lanes = end - begin;
      // By column, so that a vector holds one column of several rows.
      std::vector<float> sums(static_cast<std::size_t>(count * kRowLanes));
      for (std::int64_t i = 0; first > 0 && i < lanes; ++i) {
        for (std::int64_t p = 0; p < count; ++p) {
          sums[static_cast<std::size_t>(p * kRowLanes + i)] = before(begin + i, p);
        }
      }
      float t[kRowLanes], q[kRowLanes], e[kRowLanes], scales[kRowLanes], offsets[kRowLanes] = {};
      std::uint8_t code[kRowLanes];
      for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t j = order[static_cast<std::size_t>(first + p)];
        const std::int64_t b = j / codes.block;
        const float* sum = sums.data() + p * kRowLanes;
        const float inverse = 1.f / root(first + p, first + p);
        for (std::int64_t i = 0; i < lanes; ++i) {
          scales[i] = codes.scales(begin + i, b);
          if (!codes.offsets.empty()) offsets[i] = codes.offsets(begin + i, b);
          t[i] = target(begin + i, j) + sum[i] * inverse;
        }
        encode_column(codes, t, scales, offsets, lanes, code, q);
        for (std::int64_t i = 0; i < lanes; ++i) {
          e[i] = target(begin + i, j) - q[i];
          error(begin + i, first + p) = e[i];
          found[static_cast<std::size_t>((begin + i) * columns + j)] = code[i];
        }
        for (std::int64_t k = p + 1; k < count; ++k) {
          const float factor = root(first + p, first + k);
          float* to = sums.data() + k * kRowLanes;
          for (std::int64_t i = 0; i < lanes; ++i) to[i] += e[i] * factor;
        }
      }
    });
  }
  quant::set_codes(packed, found);
  return packed;
}

}  // namespace qloft::decompose
