#include "cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// Positions that one task takes.
constexpr std::int64_t kPositionsOfATask = 64;

// Tensors' pointers are asked for once, not for each position.
struct CachedRows {
  explicit CachedRows(const CachedHeads& cache)
      : type(cache.type()),
        capacity(cache.capacity()),
        dim(cache.head_dim()),
        blocks(cache.scales.defined() ? cache.scales.size(3) : 0),
        values(static_cast<std::byte*>(cache.values.data_ptr())),
        scales(cache.scales.defined()
                   ? reinterpret_cast<BFloat16*>(cache.scales.data_ptr<at::BFloat16>())
                   : nullptr) {}

  template <typename T>
  T* row(std::int64_t head, std::int64_t position) const {
    return reinterpret_cast<T*>(values) + (head * capacity + position) * dim;
  }
  BFloat16* row_scales(std::int64_t head, std::int64_t position) const {
    return scales + (head * capacity + position) * blocks;
  }

  StoredType type;
  std::int64_t capacity, dim, blocks;
  std::byte* values;
  BFloat16* scales;
};

void store_row(const CachedRows& to, std::int64_t head, std::int64_t position, const float* x) {
  switch (to.type) {
    case StoredType::f32:
      std::copy_n(x, to.dim, to.row<float>(head, position));
      return;
    case StoredType::bf16:
      kernels::table().f32_to_bf16(x, to.dim, to.row<BFloat16>(head, position));
      return;
    case StoredType::int8: {
      float* turned = scratch(Scratch::value, to.dim);
      std::copy_n(x, to.dim, turned);
      kernels::dense_table().hadamard(turned, 1, to.dim);
      kernels::dense_table().to_codes(turned, to.dim, to.row<std::int8_t>(head, position),
                                      to.row_scales(head, position));
    }
  }
}

void store_row(const CachedRows& to, std::int64_t head, std::int64_t position, const BFloat16* x) {
  if (to.type == StoredType::bf16) {
    std::copy_n(x, to.dim, to.row<BFloat16>(head, position));
    return;
  }
  float* wide = scratch(Scratch::key, to.dim);
  kernels::table().bf16_to_f32(x, to.dim, wide);
  store_row(to, head, position, wide);
}

template <typename T>
void store_rows(const CachedHeads& cache, std::int64_t first, const Tensor& x, const T* values) {
  const CachedRows to(cache);
  const std::int64_t heads = cache.heads(), by_position = x.stride(1), by_head = x.stride(2);
  parallel_for(x.size(1), kPositionsOfATask, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t head = 0; head < heads; ++head) {
        store_row(to, head, first + i, values + i * by_position + head * by_head);
      }
    }
  });
}

// Of codes H x, without the inverse.
const float* read_rows(const CachedRows& from, std::int64_t head, std::int64_t first,
                       std::int64_t count, float* buffer) {
  switch (from.type) {
    case StoredType::f32:
      return from.row<float>(head, first);
    case StoredType::bf16:
      kernels::table().bf16_to_f32(from.row<BFloat16>(head, first), count * from.dim, buffer);
      break;
    case StoredType::int8:
      kernels::dense_table().from_codes(from.row<std::int8_t>(head, first),
                                        from.row_scales(head, first), count, from.dim, buffer);
  }
  return buffer;
}

}  // namespace

void store_cpu(const CachedHeads& cache, std::int64_t first, const Tensor& x_in) {
  const Tensor x = x_in.stride(3) == 1 ? x_in : x_in.contiguous();
  if (x.scalar_type() == at::kFloat) return store_rows(cache, first, x, x.data_ptr<float>());
  store_rows(cache, first, x, reinterpret_cast<const BFloat16*>(x.data_ptr<at::BFloat16>()));
}

MatrixView<const float> read_positions(const CachedHeads& cache, std::int64_t head,
                                       std::int64_t first, std::int64_t count, float* buffer) {
  return {read_rows(CachedRows(cache), head, first, count, buffer), count, cache.head_dim()};
}

Tensor read_cpu(const CachedHeads& cache, std::int64_t count, at::ScalarType type) {
  if (cache.values.scalar_type() == type) return cache.values.narrow(2, 0, count);
  const std::int64_t heads = cache.heads(), dim = cache.head_dim();
  Tensor out = at::empty({1, heads, count, dim}, at::TensorOptions(type));
  const CachedRows from(cache);
  const auto read_block = [&](std::int64_t head, std::int64_t first, std::int64_t positions,
                              float* to) {
    const float* rows = read_rows(from, head, first, positions, to);
    if (rows != to) std::copy_n(rows, positions * dim, to);
    if (from.type == StoredType::int8) kernels::dense_table().inverse_hadamard(to, positions, dim);
  };
  float* floats = type == at::kFloat ? out.data_ptr<float>() : nullptr;
  auto* halves =
      floats == nullptr ? reinterpret_cast<BFloat16*>(out.data_ptr<at::BFloat16>()) : nullptr;
  const std::int64_t tasks = ceil_divide(count, kPositionsOfATask);
  parallel_for(heads * tasks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t head = i / tasks, first = i % tasks * kPositionsOfATask;
      const std::int64_t positions = std::min(kPositionsOfATask, count - first);
      const std::int64_t at = (head * count + first) * dim;
      if (floats != nullptr) {
        read_block(head, first, positions, floats + at);
        continue;
      }
      float* wide = scratch(Scratch::key, positions * dim);
      read_block(head, first, positions, wide);
      kernels::table().f32_to_bf16(wide, positions * dim, halves + at);
    }
  });
  return out;
}

}  // namespace qloft::backend
