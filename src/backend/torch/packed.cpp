#include "packed.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>

#include "qloft/core.h"
#include "qloft/kernels.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Elements that are unpacked at once: as int32 and f32 128 MiB.
constexpr std::int64_t kUnpackedAtOnce = 1 << 24;

Tensor copy_of(const void* data, at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  return at::from_blob(const_cast<void*>(data), shape, at::TensorOptions(type))
      .to(device, type, false, /*copy=*/true);
}

Tensor copy_of(const Matrix& matrix, at::Device device) {
  return copy_of(matrix.data(), {matrix.rows(), matrix.columns()}, at::kFloat, device);
}

PackedTensors::Plane plane_of(const std::array<kernels::CodeField, kernels::kGroup>& fields,
                              at::Device device) {
  std::array<std::int64_t, kernels::kGroup> bytes{};
  std::array<std::uint8_t, kernels::kGroup> shifts{};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    bytes[i] = fields[i].byte;
    shifts[i] = static_cast<std::uint8_t>(fields[i].shift);
  }
  return {copy_of(bytes.data(), {kernels::kGroup}, at::kLong, device),
          copy_of(shifts.data(), {kernels::kGroup}, at::kByte, device),
          (1 << fields.front().bits) - 1, fields.front().to};
}

// int32 [count, columns]
Tensor codes_of(const PackedTensors& packed, std::int64_t first, std::int64_t count) {
  const Tensor groups = packed.codes.narrow(0, first, count);
  Tensor codes;
  for (const PackedTensors::Plane& plane : packed.planes) {
    const Tensor part = at::bitwise_right_shift(groups.index_select(2, plane.bytes), plane.shifts)
                            .bitwise_and_(plane.mask)
                            .to(at::kInt)
                            .mul_(1 << plane.to);
    codes = codes.defined() ? codes.add_(part) : part;
  }
  return codes.flatten(1);
}

// The windows that end in these codes, whose first row begins a trellis.
Tensor windows_of(const Tensor& codes, int bits) {
  Tensor windows = codes.clone();
  const std::int64_t rows = codes.size(0);
  const Tensor depth = at::arange(rows, codes.options()).remainder_(kernels::kTrellisRows);
  for (std::int64_t back = 1; back * bits < kernels::kTrellisWindowBits && back < rows; ++back) {
    const Tensor reaches = (depth.narrow(0, back, rows - back) >= back).to(at::kInt);
    windows.narrow(0, back, rows - back)
        .add_(codes.narrow(0, 0, rows - back) * (reaches * (1 << (back * bits))).unsqueeze(1));
  }
  return windows.bitwise_and_((1 << kernels::kTrellisWindowBits) - 1);
}

// [count, blocks] -> [count, columns]
Tensor by_column(const Tensor& of_blocks, std::int64_t first, std::int64_t count,
                 std::int64_t block, std::int64_t columns) {
  return of_blocks.narrow(0, first, count)
      .unsqueeze(2)
      .expand({count, of_blocks.size(1), block})
      .reshape({count, -1})
      .narrow(1, 0, columns);
}

}  // namespace

std::shared_ptr<const PackedTensors> packed_tensors(const quant::PackedMatrix& packed,
                                                    at::Device device) {
  const std::int64_t rows = packed.rows(), columns = packed.columns();
  if (columns % kernels::kGroup != 0) return nullptr;
  const quant::Format& format = packed.format();
  PackedTensors out;
  out.codes = copy_of(
      packed.bytes(0).data(),
      {rows, columns / kernels::kGroup, kernels::packed_bytes(kernels::kGroup, format.bits)},
      at::kByte, device);
  for (const auto& fields : kernels::code_fields(format.bits)) {
    out.planes.push_back(plane_of(fields, device));
  }
  std::vector<float> values = quant::window_values(format);
  if (values.empty()) {
    values = quant::code_values(format);
  } else {
    out.window_bits = format.bits;
  }
  out.values = copy_of(values.data(), {std::ssize(values)}, at::kFloat, device);
  out.scales = copy_of(quant::block_scales(packed), device);
  const Matrix offsets = quant::block_offsets(packed);
  if (offsets.size() != 0) out.offsets = copy_of(offsets, device);
  out.block = format.block != 0 ? format.block : columns;
  return std::make_shared<const PackedTensors>(std::move(out));
}

Tensor unpack(const PackedTensors& packed, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const std::int64_t rows = packed.codes.size(0);
  const std::int64_t columns = packed.codes.size(1) * kernels::kGroup;
  Tensor out = at::empty({rows, columns}, packed.scales.options().dtype(dtype));
  const std::int64_t at_once =
      round_up(std::max<std::int64_t>(1, kUnpackedAtOnce / std::max<std::int64_t>(1, columns)),
               kernels::kTrellisRows);
  for (std::int64_t first = 0; first < rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows - first);
    Tensor codes = codes_of(packed, first, count);
    if (packed.window_bits != 0) codes = windows_of(codes, packed.window_bits);
    Tensor values = packed.values.index_select(0, codes.flatten()).view({count, columns});
    values.mul_(by_column(packed.scales, first, count, packed.block, columns));
    if (packed.offsets.defined()) {
      values.add_(by_column(packed.offsets, first, count, packed.block, columns));
    }
    out.narrow(0, first, count).copy_(values);
  }
  return out;
}

Weight packed_weight(Packed packed, at::Device device) {
  Weight out{std::move(packed)};
  if (!device.is_cpu()) out.tensors = packed_tensors(out.packed(), device);
  return out;
}

}  // namespace qloft::backend
