// Phi-3 and Phi-4 (Abdin et al. 2024): query, key and value in one matrix, gate and up in another,
// and LongRoPE.
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

Mlp add_fused_mlp(LayoutBuilder& builder, const Sizes& sizes, Activation activation) {
  Mlp out;
  out.activation = activation;
  const ParameterId both = builder.linear("mlp.gate_up_proj", 2 * sizes.inner, sizes.hidden, {});
  out.gate = RowSlice{both, 1, 0, sizes.inner};
  out.up = RowSlice{both, 1, sizes.inner, sizes.inner};
  out.down = builder.linear("mlp.down_proj", sizes.hidden, sizes.inner, {});
  return out;
}

}  // namespace

Layout phi3(const io::Field& config) {
  LayoutBuilder builder("phi3", "model.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes = read_sizes(config);
  read_common(config, "max_position_embeddings", 4096, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {parse_rope(config, layout.max_positions, sizes.head_dim)};
  const double epsilon = config.number("rms_norm_eps", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "hidden_act", "silu");

  builder.token_embedding("model.embed_tokens", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.rms_norm("input_layernorm", sizes.hidden, epsilon);
    second.before = builder.rms_norm("post_attention_layernorm", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    attention.rope = 0;
    attention.window = read_window(config, 0);
    add_fused_attention(builder, sizes, "self_attn.qkv_proj", 1, "self_attn.o_proj", {}, attention);
    first.body = std::move(attention);
    second.body = add_fused_mlp(builder, sizes, activation);
    builder.add({.branches = {std::move(first), std::move(second)}});
  }
  builder.end_blocks();
  layout.output.norm = builder.rms_norm("model.norm", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", false));
  return layout;
}

}  // namespace qloft::architecture
