// Phi-1, Phi-1.5 and Phi-2 (Gunasekar et al. 2023): attention and MLP side by side behind one norm,
// and rotary embeddings of half of each head.
#include "shared/plain_decoder.h"

namespace qloft::architecture {

Layout phi(const io::Field& config) {
  LayoutBuilder builder("phi", "model.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes = read_sizes(config);
  read_common(config, "max_position_embeddings", 2048, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {parse_rope(config, layout.max_positions, sizes.head_dim, {.partial = 0.5})};
  const double epsilon = config.number("layer_norm_eps", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "hidden_act", "gelu_new");
  const bool norm_heads = read_flag(config, "qk_layernorm", false);

  builder.token_embedding("model.embed_tokens", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    const Norm norm = builder.layer_norm("input_layernorm", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    attention.rope = 0;
    if (norm_heads) {
      attention.query_norms = {
          builder.layer_norm("self_attn.q_layernorm", sizes.head_dim, epsilon)};
      attention.key_norms = {builder.layer_norm("self_attn.k_layernorm", sizes.head_dim, epsilon)};
    }
    add_separate_attention(builder, sizes, "self_attn", "dense", true, true, attention);
    Branch first{.before = norm, .body = std::move(attention)};
    Branch second{
        .before = norm,
        .body = add_plain_mlp(builder, sizes, "mlp.fc1", "mlp.fc2", {.bias = true}, activation)};
    builder.add({.branches = {std::move(first), std::move(second)}, .parallel = true});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("model.final_layernorm", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", false),
                        true);
  return layout;
}

}  // namespace qloft::architecture
