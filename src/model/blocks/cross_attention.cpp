#include "cross_attention.h"

#include <ATen/TensorOperators.h>

#include <array>

#include "qloft/backend/attention.h"

namespace qloft::model {
namespace {

using architecture::Attention;
using at::Tensor;

// Each query by itself sees the whole source: to the kernel the last key stands at its place.
Tensor over_source_caches(const Pass& pass, const Attention& a, std::int64_t block,
                          const Tensor& q) {
  const auto at = static_cast<std::size_t>(block - pass.layout().first_block());
  std::vector<backend::CachedSequence> sequences;
  for (const CachedTokens& tokens : pass.cached) {
    const KeyValueCache::State& cache = *tokens.cache;
    for (std::int64_t i = 0; i < tokens.count; ++i) {
      sequences.push_back({cache.source_keys[at], cache.source_values[at], tokens.first + i, 1,
                           cache.source_length - 1});
    }
  }
  return backend::attention_over_caches(q, sequences, 0, {static_cast<float>(a.scale), 0, {}});
}

}  // namespace

SourceHeads source_heads(const Pass& pass, const Attention& a) {
  const Tensor& states = pass.encoded;
  const std::array slices = {&a.key, &a.value};
  const auto projected = apply_slices(*pass.source, slices, states);
  const std::array<std::int64_t, 4> shape = {states.size(0), states.size(1), a.heads, a.head_dim};
  return {projected[0].reshape(shape), projected[1].reshape(shape)};
}

Tensor attend_across(const Pass& pass, const Attention& a, std::int64_t block, const Tensor& x) {
  const std::int64_t rows = x.size(0), length = x.size(1);
  const std::array slices = {&a.query};
  const Tensor q = apply_slices(pass, slices, x)[0].reshape({rows, length, a.heads, a.head_dim});
  Tensor out;
  if (pass.cached.empty()) {
    const SourceHeads heads = source_heads(pass, a);
    backend::Visibility visibility{0, pass.source->segments, /*causal=*/false};
    visibility.across = true;
    out = backend::attention(q, heads.keys, heads.values, visibility,
                             {static_cast<float>(a.scale), 0, {}});
  } else {
    out = over_source_caches(pass, a, block, q);
  }
  return apply(pass, a.output, out.reshape({rows, length, a.heads * a.head_dim}));
}

}  // namespace qloft::model
