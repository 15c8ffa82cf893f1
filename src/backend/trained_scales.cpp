#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "cpu/one_thread.h"
#include "qloft/backend/tensor.h"
#include "qloft/backend/weight.h"
#include "qloft/core/checked.h"
#include "torch/packed.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Rows of dy^T x that a thread holds at once: a multiple of the rows that a trellis code joins.
constexpr std::int64_t kRowsAtOnce = 256;

Tensor tensor_of(const Matrix& matrix, at::Device device) {
  return at::from_blob(const_cast<float*>(matrix.data()), {matrix.rows(), matrix.columns()},
                       at::TensorOptions(at::kFloat))
      .to(device, at::kFloat, false, /*copy=*/true);
}

// Each of the blocks' values in the place of its columns: [rows, blocks] -> [rows, blocks, block].
Tensor by_blocks(const Tensor& values, std::int64_t blocks, std::int64_t block) {
  const std::int64_t missing = blocks * block - values.size(1);
  const Tensor whole = missing == 0 ? values : at::constant_pad_nd(values, {0, missing});
  return whole.view({values.size(0), blocks, block});
}

// Rows [first, first + count), unpacked.
Tensor rows_of(const Weight& weight, std::int64_t first, std::int64_t count) {
  if (weight.tensors != nullptr) {
    return unpack(*weight.tensors, at::kFloat).narrow(0, first, count);
  }
  Tensor out = at::empty({count, weight.columns()}, at::kFloat);
  quant::dequantize(weight.packed(), matrix_of(out), first);
  return out;
}

}  // namespace

Weight with_trained_scales(std::shared_ptr<quant::PackedMatrix> packed, at::Device device) {
  auto scales = std::make_shared<TrainedScales>();
  scales->initial = quant::block_scales(*packed);
  scales->factors = at::ones({scales->initial.rows(), scales->initial.columns()},
                             at::TensorOptions(at::kFloat).device(device))
                        .set_requires_grad(true);
  scales->matrix = packed;
  Weight out = packed_weight(std::move(packed), device);
  out.scales = std::move(scales);
  return out;
}

void store_scales(const Weight& weight) {
  if (weight.scales == nullptr) return;
  const at::NoGradGuard no_grad;
  const TrainedScales& trained = *weight.scales;
  const Tensor now = trained.factors.detach().cpu() * tensor_of(trained.initial, at::kCPU);
  quant::set_scales(*trained.matrix, matrix_of(now));
  if (weight.tensors == nullptr) return;
  const Tensor stored = weight.tensors->scales;
  stored.copy_(tensor_of(quant::block_scales(*trained.matrix), at::kCPU));
}

Tensor scale_gradients(const Tensor& dy, const Tensor& x, const Weight& weight) {
  const at::NoGradGuard no_grad;
  const quant::PackedMatrix& packed = weight.packed();
  const std::int64_t rows = packed.rows(), columns = packed.columns();
  const std::int64_t blocks = packed.format().blocks_per_row(columns);
  const std::int64_t block = packed.format().block != 0 ? packed.format().block : columns;
  const Tensor stored = tensor_of(quant::block_scales(packed), dy.device());
  const Matrix offsets = quant::block_offsets(packed);
  const Tensor offset = offsets.size() != 0 ? tensor_of(offsets, dy.device()) : Tensor();
  // What a stored scale of 0 multiplied cannot be told from it.
  const Tensor ratio =
      (tensor_of(weight.scales->initial, dy.device()) / stored).masked_fill_(stored.eq(0), 0);
  Tensor out = at::empty({rows, blocks}, stored.options());
  const auto fill = [&](std::int64_t first, std::int64_t count) {
    const Tensor products = as_f32(dy.narrow(1, first, count).t().mm(x));
    Tensor values = by_blocks(rows_of(weight, first, count).to(dy.device()), blocks, block);
    if (offset.defined()) values = values - offset.narrow(0, first, count).unsqueeze(2);
    const Tensor sums = (by_blocks(products, blocks, block) * values).sum(2);
    out.narrow(0, first, count).copy_(sums * ratio.narrow(0, first, count));
  };
  if (dy.is_cpu()) {
    for_slices(rows, kRowsAtOnce, fill);
  } else {
    fill(0, rows);
  }
  return out;
}

}  // namespace qloft::backend
