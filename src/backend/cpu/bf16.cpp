#include "bf16.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "one_thread.h"
#include "products.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/core/bf16_units.h"
#include "qloft/kernels.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Rows of the result, or of the weight, in one product: the slice of a weight stays near the L2
// cache.
constexpr std::int64_t kSlice = 512;
// Columns of a weight in one product of the backward pass, which reads all its rows.
constexpr std::int64_t kColumns = 1024;

// As many slices for each thread as it takes for at most `most` rows or so; they begin at whole
// groups of codes.
std::int64_t slice_of(std::int64_t extent, std::int64_t most) {
  const std::int64_t threads = thread_count();
  const std::int64_t slices = threads * ceil_divide(extent, threads * most);
  return round_up(ceil_divide(extent, slices), kernels::kGroup);
}

// Memory of the calling thread as a bf16 matrix.
Tensor scratch_matrix(std::int64_t rows, std::int64_t columns) {
  float* memory = scratch(Scratch::weight_tile, (rows * columns + 1) / 2);
  return at::from_blob(memory, {rows, columns}, at::TensorOptions(at::kBFloat16));
}

MatrixView<BFloat16> view(const Tensor& tensor) {
  return {reinterpret_cast<BFloat16*>(tensor.data_ptr<at::BFloat16>()), tensor.size(0),
          tensor.size(1)};
}

Tensor rows_of(const Weight& weight, std::int64_t first, std::int64_t count) {
  if (!weight.is_packed()) return weight.dense().narrow(0, first, count).to(at::kBFloat16);
  Tensor out = scratch_matrix(count, weight.columns());
  quant::dequantize(weight.packed(), view(out), first);
  return out;
}

Tensor columns_of(const Weight& weight, std::int64_t first, std::int64_t count) {
  if (!weight.is_packed()) return weight.dense().narrow(1, first, count).to(at::kBFloat16);
  Tensor out = scratch_matrix(weight.rows(), count);
  quant::dequantize_tile(weight.packed(), view(out), 0, first);
  return out;
}

}  // namespace

bool runs_in_bf16(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && x.size(0) > kFewRows && has_bf16_units();
}

Tensor to_bf16(const Tensor& x) {
  if (x.scalar_type() == at::kBFloat16) return x;
  constexpr std::int64_t kAtOnce = 1 << 16;
  Tensor out = at::empty(x.sizes(), x.options().dtype(at::kBFloat16));
  const float* from = x.data_ptr<float>();
  BFloat16* to = view(out).data;
  parallel_for(x.numel(), kAtOnce, [&](std::int64_t begin, std::int64_t end) {
    kernels::table().f32_to_bf16(from + begin, end - begin, to + begin);
  });
  return out;
}

Tensor multiply_bf16(const Tensor& a, const Tensor& b) {
  Tensor c = at::empty({a.size(0), b.size(1)}, a.options());
  for_slices(a.size(0), slice_of(a.size(0), kSlice), [&](std::int64_t begin, std::int64_t count) {
    Tensor out = c.narrow(0, begin, count);
    at::mm_out(out, a.narrow(0, begin, count), b);
  });
  return c;
}

Tensor multiply_bf16_to_f32(const Tensor& a, const Tensor& b) {
  Tensor c = at::empty({a.size(0), b.size(1)}, a.options().dtype(at::kFloat));
  const int along = a.size(0) >= b.size(1) ? 0 : 1;
  const std::int64_t extent = c.size(along);
  for_slices(extent, slice_of(extent, kSlice), [&](std::int64_t begin, std::int64_t count) {
    c.narrow(along, begin, count)
        .copy_(along == 0 ? at::mm(a.narrow(0, begin, count), b)
                          : at::mm(a, b.narrow(1, begin, count)));
  });
  return c;
}

void add_product_bf16(Tensor& sum, const Tensor& a, const Tensor& b) {
  for_slices(a.size(0), slice_of(a.size(0), kSlice), [&](std::int64_t begin, std::int64_t count) {
    Tensor out = sum.narrow(0, begin, count);
    at::addmm_out(out, out, a.narrow(0, begin, count), b);
  });
}

Tensor multiply_transposed_bf16(const Tensor& x, const Weight& weight) {
  const std::int64_t rows = weight.rows();
  Tensor y = at::empty({x.size(0), rows}, x.options());
  for_slices(rows, slice_of(rows, kSlice), [&](std::int64_t begin, std::int64_t count) {
    y.narrow(1, begin, count).copy_(at::mm(x, rows_of(weight, begin, count).t()));
  });
  return y;
}

Tensor multiply_bf16(const Tensor& y, const Weight& weight) {
  const std::int64_t columns = weight.columns();
  Tensor x = at::empty({y.size(0), columns}, y.options());
  for_slices(columns, slice_of(columns, kColumns), [&](std::int64_t begin, std::int64_t count) {
    x.narrow(1, begin, count).copy_(at::mm(y, columns_of(weight, begin, count)));
  });
  return x;
}

}  // namespace qloft::backend
