#pragma once
#include <cstdint>

#include "qloft/backend/attention.h"

namespace qloft::backend {

// What multiplies: f32 always can; bf16 takes bf16 tensors, and is fast where the processor has
// units for it (has_block_units in bf16_blocks.h).
enum class Products : std::uint8_t { f32, bf16 };

at::Tensor attention_by(Products products, const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v, const Visibility& visibility, const Scores& scores);
// Sequences of few queries are taken by f32 in any case.
at::Tensor attention_over_caches_by(Products products, const at::Tensor& q,
                                    std::span<const CachedSequence> sequences, std::int64_t window,
                                    const Scores& scores);

// By bf16 where tensors and processor allow it and queries are more than a few, else by f32.
at::Tensor attention_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const Visibility& visibility, const Scores& scores);
at::Tensor attention_over_caches_cpu(const at::Tensor& q, std::span<const CachedSequence> sequences,
                                     std::int64_t window, const Scores& scores);

}  // namespace qloft::backend
