#include "qloft/backend/cache.h"

#include <ATen/ops/empty.h>

#include "qloft/core/checked.h"
#include "qloft/kernels/dense.h"

namespace qloft::backend {
namespace {

at::ScalarType scalar_type(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return at::kFloat;
    case StoredType::bf16:
      return at::kBFloat16;
    case StoredType::int8:
      break;
  }
  return at::kChar;
}

}  // namespace

StoredType CachedHeads::type() const {
  if (scales.defined()) return StoredType::int8;
  return values.scalar_type() == at::kFloat ? StoredType::f32 : StoredType::bf16;
}

std::int64_t CachedHeads::bytes() const {
  return static_cast<std::int64_t>(values.nbytes() + (scales.defined() ? scales.nbytes() : 0));
}

CachedHeads make_cached_heads(StoredType type, std::int64_t key_value_heads, std::int64_t capacity,
                              std::int64_t head_dim, at::Device device) {
  const auto options = at::TensorOptions(scalar_type(type)).device(device);
  CachedHeads cache{at::empty({1, key_value_heads, capacity, head_dim}, options), {}};
  if (type == StoredType::int8) {
    const std::int64_t blocks = ceil_divide(head_dim, kernels::kCodeBlock);
    cache.scales = at::empty({1, key_value_heads, capacity, blocks}, options.dtype(at::kBFloat16));
  }
  return cache;
}

CachedHeads grown(const CachedHeads& cache, std::int64_t capacity, std::int64_t filled) {
  CachedHeads larger = make_cached_heads(cache.type(), cache.heads(), capacity, cache.head_dim(),
                                         cache.values.device());
  // Only what is filled: the rest of the capacity stays untouched memory.
  copy_positions(cache, larger, 0, filled);
  return larger;
}

void copy_positions(const CachedHeads& from, const CachedHeads& to, std::int64_t first,
                    std::int64_t end) {
  const auto copy = [&](const at::Tensor& source, const at::Tensor& target) {
    target.narrow(2, first, end - first).copy_(source.narrow(2, first, end - first));
  };
  copy(from.values, to.values);
  if (from.scales.defined()) copy(from.scales, to.scales);
}

}  // namespace qloft::backend
