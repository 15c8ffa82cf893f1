#pragma once
// Attention over contiguous heads, causal or both ways, with grouped keys and values, a sliding
// window, segments, and past positions from caches. No mask is ever stored.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "qloft/backend/cache.h"

namespace qloft::backend {

// Which keys a query sees. Query i of a row has index past + i; it sees key j where j <= past + i,
// past + i - j < window (window 0: no limit), and both have the same segment, which is not
// negative. Where it is not causal, it sees the keys behind it too, j - past - i < window. A query
// that sees nothing gets zeros.
struct Visibility {
  std::int64_t window = 0;
  at::Tensor segments = {};  // int64 CPU [rows, past + length], or undefined: all the same
  bool causal = true;
  // Keys are of another sequence than the queries, of any length: a query sees all of them but
  // those of a negative segment. `segments` are theirs, and what else stands here does not count.
  bool across = false;
};

// How a query and a key make a score: cap(scale * query . key) - slope * (query's index - key's) +
// bias[key's index - query's].
struct Scores {
  float scale = 1;
  float soft_cap = 0;         // cap(s) = soft_cap * tanh(s / soft_cap) (Gemma 2); 0: s itself
  std::vector<float> slopes;  // of each head (ALiBi, Press et al. 2022); empty: 0
  // Of each head and distance below `reach` to either side: f32 [heads, 2 reach - 1], where q is,
  // column reach - 1 of distance 0 (T5, Raffel et al. 2020); undefined: 0. Gradients go to it.
  at::Tensor bias = {};
};

// q [rows, length, heads, head_dim], k and v [rows, length, key_value_heads, head_dim], or with
// `across` of any length, f32 or bf16; heads is a multiple of key_value_heads. Returns [rows,
// length, heads, head_dim] in q's type: softmax(scores) v. Memory stays linear in the length:
// scores are made for a block of queries at a time, forward and, again, backward, which keeps q, k,
// v, the result and one f32 a query and head (Dao et al. 2022). On the CPU products of more than 4
// queries in bf16 run in bf16 where the processor has units for it (AVX-512 BF16, AMX), 64 queries
// and 64 keys at a time; else in f32. Sums are f32 in both.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const Visibility& visibility, const Scores& scores);

// A sequence whose queries are [first, first + count) of a pass. Its keys and values are filled for
// the `past` positions before and for its own.
struct CachedSequence {
  CachedHeads keys, values;
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t past = 0;
};

// Without gradients: q f32 or bf16 [1, length, heads, head_dim] holds the queries of many
// sequences, one after the other, each of which sees its own cache alone, of any type. `window` as
// in Visibility. On the CPU up to 4 queries (decoding) multiply in f32 what is read from the cache
// once for all heads that share it; more do it as attention() does.
at::Tensor attention_over_caches(const at::Tensor& q, std::span<const CachedSequence> sequences,
                                 std::int64_t window, const Scores& scores);

}  // namespace qloft::backend
