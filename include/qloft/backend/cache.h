#pragma once
// Keys and values of the past positions of one sequence, as f32, bf16 or codes of 8 bits.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "qloft/backend/stored_type.h"

namespace qloft::backend {

// Keys, or values, of one attention. Position p of head h is values[0][h][p]; of StoredType::int8
// these are codes of its blocks of 32 elements, the last of which may be shorter:
//
//   H x ~ scale codes    scale = bf16(largest magnitude of H x / 127)
//
// with the nearest code, of -127 to 127, ties to even. H is the Hadamard matrix (QuaRot, Ashkboos
// et al. 2024): it parts an element that is far larger than the others among all, as the biases of
// Qwen2's keys make one, so that steps are smaller. A last block whose length is no power of two
// goes without. One that holds infinity or NaN has NaN as its scale, and is read as NaN.
struct CachedHeads {
  at::Tensor values;  // f32, bf16 or int8 [1, key_value_heads, capacity, head_dim]
  at::Tensor scales;  // of codes: bf16 [1, key_value_heads, capacity, blocks of a head]

  StoredType type() const;
  std::int64_t heads() const { return values.size(1); }
  std::int64_t capacity() const { return values.size(2); }
  std::int64_t head_dim() const { return values.size(3); }
  std::int64_t bytes() const;
};

// With room for `capacity` positions, whose memory is not touched.
CachedHeads make_cached_heads(StoredType type, std::int64_t key_value_heads, std::int64_t capacity,
                              std::int64_t head_dim, at::Device device);
// A larger one that holds the first `filled` positions of `cache`.
CachedHeads grown(const CachedHeads& cache, std::int64_t capacity, std::int64_t filled);
// The positions [first, end) of `from` become those of `to`, a cache of the same heads and type.
void copy_positions(const CachedHeads& from, const CachedHeads& to, std::int64_t first,
                    std::int64_t end);

// x f32 or bf16 [1, count, key_value_heads, head_dim] becomes the positions [first, first + count).
void store(const CachedHeads& cache, std::int64_t first, const at::Tensor& x);
// The first `count` positions as f32 or bf16 [1, key_value_heads, count, head_dim]; a view where
// they are kept so.
at::Tensor read(const CachedHeads& cache, std::int64_t count, at::ScalarType type);

}  // namespace qloft::backend
