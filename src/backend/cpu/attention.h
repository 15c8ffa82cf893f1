#pragma once
#include <cstdint>

#include "qloft/backend/attention.h"
#include "qloft/core/matrix.h"

namespace qloft::backend {

// What multiplies: f32 always can; bf16 takes bf16 tensors, and is fast where the processor has
// units for it (has_block_units in bf16_blocks.h).
enum class Products : std::uint8_t { f32, bf16 };

at::Tensor attention_by(Products products, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const Visibility& visibility, const Scores& scores);
// Sequences of few queries are taken by f32 in any case, and so are caches of f32.
at::Tensor attention_over_caches_by(Products products, const at::Tensor& q,
                                    std::span<const CachedSequence> sequences, std::int64_t window,
                                    const Scores& scores);

// One head of one row: all its queries, q [rows, length, heads, head_dim], a block at a time. keys
// and values [past + length, head_dim]. log_sums [length], or null.
void attend_in_f32(const at::Tensor& q, MatrixView<const float> keys,
                   MatrixView<const float> values, std::int64_t row, std::int64_t head,
                   std::int64_t past, const Visibility& visibility, const Scores& rule,
                   const at::Tensor& out, float* log_sums);

// By bf16 where tensors and processor allow it and queries are more than a few, else by f32.
at::Tensor attention_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const Visibility& visibility, const Scores& scores);
at::Tensor attention_over_caches_cpu(const at::Tensor& q, std::span<const CachedSequence> sequences,
                                     std::int64_t window, const Scores& scores);

}  // namespace qloft::backend
