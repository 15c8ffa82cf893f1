#include "int8.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <memory>

#include "products.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/int8.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using kernels::Int8Activations;
using kernels::Int8Weights;
using kernels::kInt8Block;
using kernels::kInt8Columns;
using kernels::kInt8Rows;

// Rows, or columns, of a weight in one task: enough that a task costs little, few enough that
// threads end together.
constexpr std::int64_t kInt8Slice = 512;

// Slices begin at whole groups of codes, and of columns of a product.
static_assert(kernels::kGroup % kInt8Columns == 0);
std::int64_t int8_slice(std::int64_t extent) {
  const std::int64_t threads = thread_count();
  const std::int64_t slices = threads * ceil_divide(extent, threads * kInt8Slice);
  return round_up(ceil_divide(extent, slices), kernels::kGroup);
}

// Memory of the calling thread for a tile of a weight. Its rows do not begin at multiples of a
// power of two, which would share few of the first cache's sets.
MatrixView<float> tile_memory(std::int64_t rows, std::int64_t columns) {
  const std::int64_t stride = columns + 16;
  return {scratch(Scratch::weight_tile, rows * stride), rows, columns, stride};
}

BFloat16* bf16_data(const Tensor& tensor) {
  return reinterpret_cast<BFloat16*>(tensor.data_ptr<at::BFloat16>());
}

// Activations [n, columns] as panels of kInt8Rows rows.
class Panels {
 public:
  explicit Panels(const Tensor& x)
      : blocks_(ceil_divide(x.size(1), kInt8Block)),
        count_(ceil_divide(x.size(0), kInt8Rows)),
        data_(std::make_unique_for_overwrite<Int8Activations[]>(
            static_cast<std::size_t>(blocks_ * count_))) {
    const std::int64_t rows = x.size(0), columns = x.size(1);
    parallel_for(count_, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int64_t first = p * kInt8Rows, count = std::min(kInt8Rows, rows - first);
        const float* values = rows_of(x, first, count);
        kernels::int8_table().quantize_activations(values, columns, count, columns,
                                                   data_.get() + p * blocks_);
      }
    });
  }
  std::int64_t blocks() const { return blocks_; }
  std::int64_t count() const { return count_; }
  const Int8Activations* panel(std::int64_t p) const { return data_.get() + p * blocks_; }

 private:
  static const float* rows_of(const Tensor& x, std::int64_t first, std::int64_t count) {
    const std::int64_t columns = x.size(1);
    if (x.scalar_type() == at::kFloat) return x.data_ptr<float>() + first * columns;
    float* values = scratch(Scratch::activations, count * columns);
    kernels::table().bf16_to_f32(bf16_data(x) + first * columns, count * columns, values);
    return values;
  }

  std::int64_t blocks_, count_;
  std::unique_ptr<Int8Activations[]> data_;
};

Int8Weights* weight_panels(std::int64_t blocks) {
  constexpr std::int64_t kFloats = sizeof(Int8Weights) / sizeof(float);
  return reinterpret_cast<Int8Weights*>(scratch(Scratch::weight_panels, blocks * kFloats));
}

// What products are written to, f32 or bf16: torch's own checks cost too much for every row.
struct Output {
  explicit Output(const Tensor& y)
      : f32(y.scalar_type() == at::kFloat ? y.data_ptr<float>() : nullptr),
        bf16(f32 == nullptr ? bf16_data(y) : nullptr),
        rows(y.size(0)),
        stride(y.size(1)) {}

  float* f32;
  BFloat16* bf16;
  std::int64_t rows, stride;
};

// Columns [first, first + count) of y, from all panels and one panel of weights, count <=
// kInt8Columns.
void multiply_panels(const Panels& x, const Int8Weights* weights, const Output& y,
                     std::int64_t first, std::int64_t count) {
  const kernels::Int8Table& int8 = kernels::int8_table();
  const auto f32_to_bf16 = kernels::table().f32_to_bf16;
  float tile[kInt8Rows * kInt8Columns];
  for (std::int64_t p = 0; p < x.count(); ++p) {
    int8.multiply(x.panel(p), weights, x.blocks(), tile);
    const std::int64_t row = p * kInt8Rows;
    for (std::int64_t i = 0; i < std::min(kInt8Rows, y.rows - row); ++i) {
      const float* from = tile + i * kInt8Columns;
      const std::int64_t to = (row + i) * y.stride + first;
      if (y.f32 != nullptr) {
        std::copy(from, from + count, y.f32 + to);
      } else {
        f32_to_bf16(from, count, y.bf16 + to);
      }
    }
  }
}

}  // namespace

bool runs_in_int8(const Tensor& x, const Weight& weight) {
  return weight.int8 && x.is_cpu() && x.size(0) > kFewRows;
}

Tensor multiply_transposed_int8(const Tensor& x, const Weight& weight) {
  const Panels panels(x);
  const std::int64_t rows = weight.rows(), columns = weight.columns();
  Tensor y = at::empty({x.size(0), rows}, x.options());
  const Output output(y);
  parallel_for(rows, int8_slice(rows), [&](std::int64_t begin, std::int64_t end) {
    Int8Weights* const weights = weight_panels(panels.blocks());
    for (std::int64_t first = begin; first < end; first += kInt8Columns) {
      const std::int64_t count = std::min(kInt8Columns, end - first);
      const auto tile = read_tile(weight, first, 0, tile_memory(count, columns));
      kernels::int8_table().quantize_weights(tile.data, tile.stride, count, columns, weights);
      multiply_panels(panels, weights, output, first, count);
    }
  });
  return y;
}

Tensor multiply_int8(const Tensor& y, const Weight& weight) {
  const Panels panels(y);
  const std::int64_t rows = weight.rows(), columns = weight.columns(), blocks = panels.blocks();
  Tensor x = at::empty({y.size(0), columns}, y.options());
  const Output output(x);
  parallel_for(columns, int8_slice(columns), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t slice = end - begin;
    Int8Weights* const weights = weight_panels(ceil_divide(slice, kInt8Columns) * blocks);
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t count = std::min(kInt8Block, rows - b * kInt8Block);
      const auto tile = read_tile(weight, b * kInt8Block, begin, tile_memory(count, slice));
      for (std::int64_t first = 0; first < slice; first += kInt8Columns) {
        kernels::int8_table().quantize_transposed_weights(
            tile.data + first, tile.stride, count, std::min(kInt8Columns, slice - first),
            weights + first / kInt8Columns * blocks + b);
      }
    }
    for (std::int64_t first = 0; first < slice; first += kInt8Columns) {
      multiply_panels(panels, weights + first / kInt8Columns * blocks, output, begin + first,
                      std::min(kInt8Columns, slice - first));
    }
  });
  return x;
}

}  // namespace qloft::backend
