#include "attention.h"

#include <ATen/ops/stack.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cross_attention.h"
#include "distance_bias.h"
#include "distances.h"
#include "norm.h"

namespace qloft::model {
namespace {

using architecture::Attention;
using architecture::Norm;
using at::Tensor;

// Slopes of ALiBi (Press et al. 2022): a geometric sequence for the largest power of two of heads,
// and every other one of the next for what remains; divided as the scores are, as Falcon does.
std::vector<float> alibi_slopes(const Attention& a) {
  const auto power_of_two =
      static_cast<std::int64_t>(std::exp2(std::floor(std::log2(static_cast<double>(a.heads)))));
  const auto slope = [](double heads, double index) { return std::exp2(-8 * index / heads); };
  std::vector<float> out;
  for (std::int64_t i = 0; i < a.heads; ++i) {
    const auto n = static_cast<double>(power_of_two);
    const double value = i < power_of_two
                             ? slope(n, static_cast<double>(i + 1))
                             : slope(2 * n, static_cast<double>(2 * (i - power_of_two) + 1));
    out.push_back(static_cast<float>(value * a.scale));
  }
  return out;
}

// flat [rows, length, heads * head_dim] -> [rows, length, heads, head_dim], normed and rotated.
Tensor make_heads(const Pass& pass, const Attention& a, const Tensor& flat, std::int64_t heads,
                  const std::vector<Norm>& norms) {
  const std::int64_t rows = flat.size(0), length = flat.size(1);
  const bool whole = a.norm_span == Attention::NormSpan::all_heads && !norms.empty();
  Tensor x = whole ? normalize(pass, norms.front(), flat) : flat;
  x = x.reshape({rows, length, heads, a.head_dim});
  if (norms.size() > 1) {
    std::vector<Tensor> each;
    for (std::size_t head = 0; head < norms.size(); ++head) {
      each.push_back(normalize(pass, norms[head], x.select(2, static_cast<std::int64_t>(head))));
    }
    x = at::stack(each, 2);
  } else if (!norms.empty() && !whole) {
    x = normalize(pass, norms.front(), x);
  }
  if (a.rope < 0) return x;
  return backend::rotate(x, pass.rotations[static_cast<std::size_t>(a.rope)]);
}

struct Heads {
  Tensor q, k, v;  // [1, tokens, heads, head_dim]
};

// Keys and values go to the caches first, so that the tokens of a pass see each other there.
std::vector<backend::CachedSequence> store_in_caches(const Pass& pass, std::int64_t block,
                                                     const Heads& heads) {
  const auto at = static_cast<std::size_t>(block - pass.layout().first_block());
  std::vector<backend::CachedSequence> sequences;
  for (const CachedTokens& tokens : pass.cached) {
    const std::int64_t past = tokens.cache->length;
    const backend::CachedHeads& keys = tokens.cache->keys[at];
    const backend::CachedHeads& values = tokens.cache->values[at];
    backend::store(keys, past, heads.k.narrow(1, tokens.first, tokens.count));
    backend::store(values, past, heads.v.narrow(1, tokens.first, tokens.count));
    sequences.push_back({keys, values, tokens.first, tokens.count, past});
  }
  return sequences;
}

// Positions of the longest sequence, its past with them.
std::int64_t longest_of(const Pass& pass, std::int64_t length) {
  if (pass.cached.empty()) return length;
  std::int64_t longest = 0;
  for (const CachedTokens& tokens : pass.cached) {
    longest = std::max(longest, tokens.cache->length + tokens.count);
  }
  return longest;
}

Tensor attend(const Pass& pass, const Attention& a, std::int64_t block, const Heads& heads) {
  const auto& [q, k, v] = heads;
  if (a.distances) return attention_by_distances(pass, a, q, k, v);
  backend::Scores scores{static_cast<float>(a.scale), static_cast<float>(a.soft_cap), {}};
  if (a.alibi) scores.slopes = alibi_slopes(a);
  if (a.bias) scores.bias = bias_by_distance(pass, a, longest_of(pass, q.size(1)));
  if (pass.cached.empty()) {
    return backend::attention(q, k, v, {a.window, pass.segments, a.causal}, scores);
  }
  return backend::attention_over_caches(q, store_in_caches(pass, block, heads), a.window, scores);
}

}  // namespace

Tensor forward(const Pass& pass, const Attention& a, std::int64_t block, const Tensor& x) {
  if (a.cross) return attend_across(pass, a, block, x);
  const std::int64_t rows = x.size(0), length = x.size(1);
  const std::array slices = {&a.query, &a.key, &a.value};
  const auto projected = apply_slices(pass, slices, x);
  const Tensor q = make_heads(pass, a, projected[0], a.heads, a.query_norms);
  const Tensor k = make_heads(pass, a, projected[1], a.key_value_heads, a.key_norms);
  const Tensor v = projected[2].reshape({rows, length, a.key_value_heads, a.head_dim});

  const Tensor out = attend(pass, a, block, {q, k, v});
  return apply(pass, a.output, out.reshape({rows, length, a.heads * a.head_dim}));
}

}  // namespace qloft::model
