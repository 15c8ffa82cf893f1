#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/linalg.h"
#include "qloft/quant/scales.h"
#include "steps.h"

namespace qloft::decompose {
namespace {

// Columns whose feedback onto each other is one product with all columns before them, and rows that
// go through them together at least, one vector lane each.
constexpr std::int64_t kColumnsAtOnce = 128;
constexpr std::int64_t kRowLanes = 32;

// Each row's scales and offsets by block.
struct Blocks {
  Matrix scales;   // [rows, blocks]
  Matrix offsets;  // [rows, blocks], or empty
  std::int64_t length;
};

Blocks blocks_of(const quant::PackedMatrix& packed) {
  const std::int64_t length = packed.format().block;
  return {quant::block_scales(packed), quant::block_offsets(packed),
          length != 0 ? length : std::max<std::int64_t>(1, packed.columns())};
}

}  // namespace

// GPTQ (Frantar et al. 2022) as Babai's nearest plane: with H = R R^T, R upper triangular, the
// squared error is the sum over columns p of (E R)_p, which column p makes least by the code
// nearest to W_p + (sum over k < p of E_k R_kp) / R_pp, E = W - Q. The columns go by falling
// diagonal of H
// ("activation order"); the scales of all blocks are those of nearest codes, so that a block stays
// a run of neighbouring columns.
quant::PackedMatrix quantize_gptq(MatrixView<const float> target, const Work& work) {
  const quant::Format& format = work.recipe.format;
  quant::PackedMatrix packed =
      quant::store_scales(format, target.rows, target.columns, quant::find_scales(target, format));
  const Blocks blocks = blocks_of(packed);
  const std::vector<std::int64_t>& order = work.coordinates.order;
  const MatrixView<const float> root =
      work.feedback.empty() ? work.coordinates.root.view() : work.feedback.view();
  const std::int64_t rows = target.rows, columns = target.columns;
  const std::int64_t rows_at_once =
      std::max(kRowLanes, quant::ColumnEncoder::rows_together(format));

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
    parallel_for(rows, rows_at_once, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t lanes = end - begin;
      // By column, so that a vector holds one column of several rows.
      std::vector<float> sums(static_cast<std::size_t>(count * lanes));
      for (std::int64_t i = 0; first > 0 && i < lanes; ++i) {
        for (std::int64_t p = 0; p < count; ++p) {
          sums[static_cast<std::size_t>(p * lanes + i)] = before(begin + i, p);
        }
      }
      quant::ColumnEncoder encoder(format);
      const auto lanes_of = [lanes] { return std::vector<float>(static_cast<std::size_t>(lanes)); };
      auto t = lanes_of(), q = lanes_of(), e = lanes_of(), scales = lanes_of(),
           offsets = lanes_of();
      std::vector<std::uint8_t> code(static_cast<std::size_t>(lanes));
      for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t j = order[static_cast<std::size_t>(first + p)];
        const std::int64_t b = j / blocks.length;
        const float* sum = sums.data() + p * lanes;
        const float inverse = 1.f / root(first + p, first + p);
        for (std::int64_t i = 0; i < lanes; ++i) {
          scales[i] = blocks.scales(begin + i, b);
          if (!blocks.offsets.empty()) offsets[i] = blocks.offsets(begin + i, b);
          t[i] = target(begin + i, j) + sum[i] * inverse;
        }
        encoder.encode(t.data(), scales.data(), offsets.data(), lanes, code.data(), q.data());
        for (std::int64_t i = 0; i < lanes; ++i) {
          e[i] = target(begin + i, j) - q[i];
          error(begin + i, first + p) = e[i];
          found[static_cast<std::size_t>((begin + i) * columns + j)] = code[i];
        }
        for (std::int64_t k = p + 1; k < count; ++k) {
          const float factor = root(first + p, first + k);
          float* to = sums.data() + k * lanes;
          for (std::int64_t i = 0; i < lanes; ++i) to[i] += e[i] * factor;
        }
      }
    });
  }
  quant::set_codes(packed, found);
  return packed;
}

}  // namespace qloft::decompose
