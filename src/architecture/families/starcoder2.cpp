// StarCoder2 (Lozhkov et al. 2024): layer norms, biases everywhere and an MLP without a gate.
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {

Layout starcoder2(const io::Field& config) {
  LayoutBuilder builder("starcoder2", "model.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes = read_sizes(config, {.default_key_value_heads = 2});
  layout.initializer_range = 0.018042;
  read_common(config, "max_position_embeddings", 4096, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {parse_rope(config, layout.max_positions, sizes.head_dim)};
  const double epsilon = config.number("norm_epsilon", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "hidden_act", "gelu_pytorch_tanh");
  const bool bias = read_flag(config, "use_bias", true);

  builder.token_embedding("model.embed_tokens", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.layer_norm("input_layernorm", sizes.hidden, epsilon);
    second.before = builder.layer_norm("post_attention_layernorm", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    attention.rope = 0;
    attention.window = read_window(config, 0);
    add_separate_attention(builder, sizes, "self_attn", "o_proj", bias, bias, attention);
    first.body = std::move(attention);
    second.body =
        add_plain_mlp(builder, sizes, "mlp.c_fc", "mlp.c_proj", {.bias = bias}, activation);
    builder.add({.branches = {std::move(first), std::move(second)}});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("model.norm", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", true));
  return layout;
}

}  // namespace qloft::architecture
