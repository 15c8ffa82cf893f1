#include "block.h"

#include <ATen/TensorOperators.h>

#include "norm.h"
#include "swiglu.h"

namespace qloft::model {
namespace {

using at::Tensor;

// A seed of its own for each of a layer's linears; never 0 where there is dropout.
std::uint64_t seed_of(const Pass& pass, std::int64_t layer, std::uint64_t linear) {
  constexpr std::uint64_t kLinears = 7;
  if (pass.dropout_seed == 0) return 0;
  const std::uint64_t index = static_cast<std::uint64_t>(layer) * kLinears + linear;
  return (pass.dropout_seed + index * 0x9e3779b97f4a7c15ull) | 1u;
}

Tensor attend(const Layer& layer, std::int64_t index, const Tensor& x, const Pass& pass) {
  const Architecture& a = *pass.architecture;
  const std::int64_t rows = x.size(0), length = x.size(1);
  const LinearUse uses[] = {{&layer.q, seed_of(pass, index, 0)},
                            {&layer.k, seed_of(pass, index, 1)},
                            {&layer.v, seed_of(pass, index, 2)}};
  const auto qkv = forward_together(uses, x);
  Tensor q = qkv[0].view({rows, length, a.heads, a.head_dim});
  Tensor k = qkv[1].view({rows, length, a.key_value_heads, a.head_dim});
  const Tensor v = qkv[2].view({rows, length, a.key_value_heads, a.head_dim});
  if (a.norm_qk) {
    q = rms_norm(q, layer.q_norm, a.rms_norm_epsilon);
    k = rms_norm(k, layer.k_norm, a.rms_norm_epsilon);
  }
  q = rotate(q, pass.rotation);
  k = rotate(k, pass.rotation);

  const bool windowed = a.layer_uses_window[static_cast<std::size_t>(index)] != 0;
  const Visibility visibility{windowed ? a.sliding_window : 0, pass.segments};
  Tensor out;
  if (pass.cache != nullptr) {
    const auto at = static_cast<std::size_t>(index);
    const std::int64_t past = pass.cache->length;
    const Tensor& keys = pass.cache->keys[at];
    const Tensor& values = pass.cache->values[at];
    keys.narrow(2, past, length).copy_(k.transpose(1, 2));
    values.narrow(2, past, length).copy_(v.transpose(1, 2));
    out = attention_over_cache(q, keys, values, past, visibility);
  } else {
    out = attention(q, k, v, visibility);
  }
  return layer.o.forward(out.reshape({rows, length, a.heads * a.head_dim}),
                         seed_of(pass, index, 3));
}

Tensor mlp(const Layer& layer, std::int64_t index, const Tensor& x, const Pass& pass) {
  const LinearUse uses[] = {{&layer.gate, seed_of(pass, index, 4)},
                            {&layer.up, seed_of(pass, index, 5)}};
  const auto both = forward_together(uses, x);
  return layer.down.forward(swiglu(both[0], both[1]), seed_of(pass, index, 6));
}

}  // namespace

Tensor forward(const Layer& layer, std::int64_t index, const Tensor& x, const Pass& pass) {
  const double epsilon = pass.architecture->rms_norm_epsilon;
  const Tensor middle = x + attend(layer, index, rms_norm(x, layer.input_norm, epsilon), pass);
  return middle + mlp(layer, index, rms_norm(middle, layer.post_attention_norm, epsilon), pass);
}

}  // namespace qloft::model
