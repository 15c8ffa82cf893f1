// GPT-2 (Radford et al. 2019): learned positions, and matrices stored [in, out].
#include <cmath>
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {

Layout gpt2(const io::Field& config) {
  LayoutBuilder builder("gpt2", "transformer.h.");
  Layout& layout = builder.layout();
  const auto either = [&](const char* name, const char* other) {
    return config.has(name) ? name : other;
  };
  const Sizes sizes = read_sizes(config, {.hidden = either("n_embd", "hidden_size"),
                                          .inner = "n_inner",
                                          .layers = either("n_layer", "num_hidden_layers"),
                                          .heads = either("n_head", "num_attention_heads"),
                                          .key_value_heads = nullptr,
                                          .default_inner_factor = 4,
                                          .reads_head_dim = false});
  read_common(config, either("n_positions", "max_position_embeddings"), 1024, layout);
  layout.hidden_size = sizes.hidden;
  const double epsilon = config.number("layer_norm_epsilon", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "activation_function", "gelu_new");
  const bool scaled = read_flag(config, "scale_attn_weights", true);
  const bool scaled_by_layer = read_flag(config, "scale_attn_by_inverse_layer_idx", false);
  const LayoutBuilder::LinearOptions conv1d{.bias = true, .transposed = true};

  builder.token_embedding("transformer.wte", sizes.hidden);
  builder.position_embedding("transformer.wpe", layout.max_positions, sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.layer_norm("ln_1", sizes.hidden, epsilon);
    second.before = builder.layer_norm("ln_2", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    if (!scaled) attention.scale = 1;
    if (scaled_by_layer) attention.scale /= static_cast<double>(i + 1);
    add_fused_attention(builder, sizes, "attn.c_attn", 1, "attn.c_proj", conv1d, attention);
    first.body = std::move(attention);
    second.body = add_plain_mlp(builder, sizes, "mlp.c_fc", "mlp.c_proj", conv1d, activation);
    builder.add({.branches = {std::move(first), std::move(second)}});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("transformer.ln_f", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", true));
  layout.prefix = "transformer.";
  layout.other_prefixes = {""};
  layout.foreign_suffixes = {".attn.bias", ".attn.masked_bias"};
  return layout;
}

}  // namespace qloft::architecture
