#include "products.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>

#include "bf16.h"
#include "int8.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using linalg::Transpose;

// Rows of a tile of the forward product: large enough that packing x again for every tile costs
// little, small enough for the L2 cache's neighbourhood.
constexpr std::int64_t kTileRows = 384;
// Rows of the shared tile of the backward product.
constexpr std::int64_t kBackwardTileRows = 1024;

// As many tiles for each thread as it takes to keep them near kTileRows rows.
std::int64_t tile_rows(std::int64_t rows) {
  const std::int64_t threads = thread_count();
  const std::int64_t tiles = threads * ceil_divide(rows, threads * kTileRows);
  return round_up(ceil_divide(rows, tiles), std::int64_t{16});
}

void multiply_transposed_f32(MatrixView<const float> x, const Weight& weight, MatrixView<float> y) {
  if (weight.is_packed() && x.rows <= kFewRows) {
    quant::multiply_transposed(x, weight.packed(), y);
    return;
  }
  if (!weight.is_packed() && x.rows <= kFewDenseRows && weight.dense().scalar_type() != at::kHalf) {
    multiply_few_rows(x, weight.dense(), y, 1.f, false);
    return;
  }
  parallel_for(y.columns, tile_rows(y.columns), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t count = end - begin;
    float* buffer = scratch(Scratch::weight_tile, count * x.columns);
    const auto tile = read_rows(weight, begin, count, buffer);
    linalg::multiply_serial(x, Transpose::no, tile, Transpose::yes,
                            y.block(0, begin, y.rows, count));
  });
}

void multiply_f32(MatrixView<const float> y, const Weight& weight, MatrixView<float> x) {
  for (std::int64_t first = 0; first < y.columns; first += kBackwardTileRows) {
    const std::int64_t count = std::min(kBackwardTileRows, y.columns - first);
    float* buffer = scratch(Scratch::weight_tile, count * x.columns);
    constexpr std::int64_t kRowsAtOnce = 32;
    const bool in_place = !weight.is_packed() && weight.dense().scalar_type() == at::kFloat;
    MatrixView<const float> tile(buffer, count, x.columns);
    if (in_place) {
      tile = read_rows(weight, first, count, nullptr);
    } else {
      parallel_for(count, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
        read_rows(weight, first + begin, end - begin, buffer + begin * x.columns);
      });
    }
    parallel_for(x.columns, tile_rows(x.columns), [&](std::int64_t begin, std::int64_t end) {
      linalg::multiply_serial(y.block(0, first, y.rows, count), Transpose::no,
                              tile.block(0, begin, count, end - begin), Transpose::no,
                              x.block(0, begin, x.rows, end - begin), 1.f, first == 0 ? 0.f : 1.f);
    });
  }
}

}  // namespace

void multiply_few_rows(MatrixView<const float> x, const at::Tensor& weight, MatrixView<float> y,
                       float scale, bool add) {
  constexpr std::int64_t kAtOnce = 64, kElementsAtOnce = 1 << 16;
  const kernels::DenseTable& table = kernels::dense_table();
  const bool f32 = weight.scalar_type() == at::kFloat;
  const std::int64_t grain = std::max<std::int64_t>(16, kElementsAtOnce / (x.columns + 1));
  parallel_for(y.columns, grain, [&](std::int64_t begin, std::int64_t end) {
    std::array<float, kAtOnce * kFewDenseRows> sums;
    for (std::int64_t first = begin; first < end; first += kAtOnce) {
      const std::int64_t count = std::min(kAtOnce, end - first), at = first * x.columns;
      if (f32) {
        table.rows_dot_f32(weight.data_ptr<float>() + at, x.columns, count, x.data, x.rows,
                           x.columns, sums.data());
      } else {
        const auto* rows = reinterpret_cast<const BFloat16*>(weight.data_ptr<at::BFloat16>());
        table.rows_dot_bf16(rows + at, x.columns, count, x.data, x.rows, x.columns, sums.data());
      }
      for (std::int64_t i = 0; i < x.rows; ++i) {
        float* out = y.row(i) + first;
        for (std::int64_t j = 0; j < count; ++j) {
          const float sum = scale * sums[static_cast<std::size_t>(i * count + j)];
          out[j] = add ? out[j] + sum : sum;
        }
      }
    }
  });
}

MatrixView<const float> read_tile(const Weight& weight, std::int64_t first, std::int64_t column,
                                  MatrixView<float> out) {
  if (weight.is_packed()) {
    quant::dequantize_tile(weight.packed(), out, first, column);
    return out;
  }
  const std::int64_t stride = weight.columns(), begin = first * stride + column;
  const auto type = weight.dense().scalar_type();
  if (type == at::kFloat) {
    return {weight.dense().data_ptr<float>() + begin, out.rows, out.columns, stride};
  }
  for (std::int64_t i = 0; i < out.rows; ++i) {
    const std::int64_t at = begin + i * stride;
    if (type == at::kBFloat16) {
      const auto* from = reinterpret_cast<const BFloat16*>(weight.dense().data_ptr<at::BFloat16>());
      kernels::table().bf16_to_f32(from + at, out.columns, out.row(i));
    } else {
      const auto* from = reinterpret_cast<const Float16*>(weight.dense().data_ptr<at::Half>());
      std::transform(from + at, from + at + out.columns, out.row(i),
                     [](Float16 value) { return value.to_float(); });
    }
  }
  return out;
}

MatrixView<const float> read_rows(const Weight& weight, std::int64_t first, std::int64_t count,
                                  float* buffer) {
  return read_tile(weight, first, 0, {buffer, count, weight.columns()});
}

at::Tensor multiply_transposed_cpu(const at::Tensor& x, const Weight& weight) {
  const at::NoGradGuard no_grad;
  if (runs_in_int8(x, weight)) return multiply_transposed_int8(x, weight);
  if (runs_in_bf16(x)) return multiply_transposed_bf16(x, weight);
  const auto x32 = as_f32(x);
  auto y = at::empty({x.size(0), weight.rows()}, at::kFloat);
  multiply_transposed_f32(matrix_of(x32), weight, matrix_of(y));
  return y.to(x.scalar_type());
}

at::Tensor multiply_cpu(const at::Tensor& y, const Weight& weight) {
  const at::NoGradGuard no_grad;
  if (runs_in_int8(y, weight)) return multiply_int8(y, weight);
  if (runs_in_bf16(y)) return multiply_bf16(y, weight);
  const auto y32 = as_f32(y);
  auto x = at::empty({y.size(0), weight.columns()}, at::kFloat);
  multiply_f32(matrix_of(y32), weight, matrix_of(x));
  return x.to(y.scalar_type());
}

at::Tensor look_up_cpu(const Weight& weight, const at::Tensor& ids, at::ScalarType dtype) {
  if (!weight.is_packed()) return at::embedding(weight.dense(), ids).to(dtype);
  const at::Tensor flat = ids.contiguous().view({-1});
  const std::int64_t* values = flat.data_ptr<std::int64_t>();
  at::Tensor out = at::empty({flat.size(0), weight.columns()}, at::kFloat);
  const auto rows = matrix_of(out);
  parallel_for(flat.numel(), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      quant::dequantize(weight.packed(), rows.block(i, 0, 1, rows.columns), values[i]);
    }
  });
  auto shape = ids.sizes().vec();
  shape.push_back(weight.columns());
  return out.view(shape).to(dtype);
}

}  // namespace qloft::backend
