#include "cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "qloft/kernels/dense.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using kernels::kCodeBlock;

// [..., head_dim] -> [..., blocks, kCodeBlock], with zeros behind the last.
Tensor in_blocks(const Tensor& x, std::int64_t blocks) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  const Tensor whole = at::constant_pad_nd(x, {0, blocks * kCodeBlock - shape.back()});
  shape.back() = blocks;
  shape.push_back(kCodeBlock);
  return whole.reshape(shape);
}

// Of the last dimension, [..., head_dim], as the kernels do it, add for add.
Tensor hadamard(const Tensor& x, bool inverse) {
  std::vector<Tensor> blocks;
  for (std::int64_t first = 0; first < x.size(-1); first += kCodeBlock) {
    const std::int64_t n = std::min(kCodeBlock, x.size(-1) - first);
    Tensor block = x.narrow(-1, first, n);
    const bool turned = std::has_single_bit(static_cast<std::uint64_t>(n));
    for (std::int64_t h = n / 2; turned && h > 0; h /= 2) {
      const Tensor pairs = block.unflatten(-1, at::IntArrayRef{-1, 2, h});
      const Tensor a = pairs.select(-2, 0), b = pairs.select(-2, 1);
      block = at::stack({a + b, a - b}, -2).flatten(-3);
    }
    blocks.push_back(inverse && turned ? block * (1. / static_cast<double>(n)) : block);
  }
  return at::cat(blocks, -1);
}

void store_codes(const Tensor& x, const Tensor& codes, const Tensor& scales) {
  const Tensor blocks = in_blocks(hadamard(x.to(at::kFloat), false), scales.size(-1));
  const Tensor finite = blocks.isfinite().all(-1);
  const Tensor most = blocks.abs().amax(-1);
  const Tensor scale =
      at::where(finite, most / 127., std::numeric_limits<float>::quiet_NaN()).to(at::kBFloat16);
  scales.copy_(scale);
  const Tensor divisor = at::where(scale > 0, scale, 1.).to(at::kFloat).unsqueeze(-1);
  const Tensor nearest = (blocks / divisor).clamp(-127, 127).round();
  codes.copy_(at::where(finite.unsqueeze(-1), nearest, 0.).flatten(-2).narrow(-1, 0, x.size(-1)));
}

}  // namespace

void store_torch(const CachedHeads& cache, std::int64_t first, const Tensor& x) {
  const Tensor by_head = x.transpose(1, 2);
  const auto place = [&](const Tensor& tensor) { return tensor.narrow(2, first, x.size(1)); };
  if (cache.type() == StoredType::int8) {
    store_codes(by_head, place(cache.values), place(cache.scales));
  } else {
    place(cache.values).copy_(by_head);
  }
}

Tensor read_torch(const CachedHeads& cache, std::int64_t count, at::ScalarType type) {
  const Tensor values = cache.values.narrow(2, 0, count);
  if (cache.type() != StoredType::int8) return values.to(type);
  const Tensor scales = cache.scales.narrow(2, 0, count).to(at::kFloat).unsqueeze(-1);
  const Tensor turned = (in_blocks(values.to(at::kFloat), scales.size(3)) * scales)
                            .flatten(-2)
                            .narrow(-1, 0, cache.head_dim());
  return hadamard(turned, true).to(type);
}

}  // namespace qloft::backend
