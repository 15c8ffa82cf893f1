// Falcon (Almazrouei et al. 2023): query heads and their one or few key/value heads in one matrix,
// attention and MLP side by side; Falcon-RW: ALiBi, a key/value head for each query head, in turn.
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

struct Variant {
  bool new_decoder, multi_query, parallel, alibi, bias, two_norms;
};

Variant read_variant(const io::Field& config) {
  Variant out{};
  out.new_decoder = read_flag(config, "new_decoder_architecture", false);
  out.multi_query = read_flag(config, "multi_query", true);
  out.parallel = read_flag(config, "parallel_attn", true) || out.new_decoder;
  out.alibi = read_flag(config, "alibi", false);
  out.bias = read_flag(config, "bias", false);
  const auto norms = config.integer("num_ln_in_parallel_attn", 1, 2);
  out.two_norms = out.new_decoder && norms.value_or(2) == 2;
  return out;
}

Sizes read_falcon_sizes(const io::Field& config, const Variant& variant) {
  // Older configs have n_embed, n_layer, n_head.
  const bool older = !config.has("hidden_size");
  Sizes out = read_sizes(config, {.hidden = older ? "n_embed" : "hidden_size",
                                  .inner = "ffn_hidden_size",
                                  .layers = older ? "n_layer" : "num_hidden_layers",
                                  .heads = older ? "n_head" : "num_attention_heads",
                                  .key_value_heads = "num_kv_heads",
                                  .default_inner_factor = 4,
                                  .reads_head_dim = false});
  if (!variant.new_decoder && variant.multi_query) out.key_value_heads = 1;
  return out;
}

}  // namespace

Layout falcon(const io::Field& config) {
  LayoutBuilder builder("falcon", "transformer.h.");
  Layout& layout = builder.layout();
  const Variant variant = read_variant(config);
  const Sizes sizes = read_falcon_sizes(config, variant);
  read_common(config, "max_position_embeddings", 2048, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {parse_rope(config, layout.max_positions, sizes.head_dim)};
  const double epsilon = config.number("layer_norm_epsilon", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "activation", "gelu");
  const LayoutBuilder::LinearOptions options{.bias = variant.bias};

  builder.token_embedding("transformer.word_embeddings", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.layer_norm(variant.two_norms ? "ln_attn" : "input_layernorm",
                                      sizes.hidden, epsilon);
    second.before = first.before;
    if (variant.two_norms) second.before = builder.layer_norm("ln_mlp", sizes.hidden, epsilon);
    if (!variant.parallel) {
      second.before = builder.layer_norm("post_attention_layernorm", sizes.hidden, epsilon);
    }
    Attention attention = attention_of(sizes);
    attention.rope = variant.alibi ? -1 : 0;
    attention.alibi = variant.alibi;
    add_fused_attention(builder, sizes, "self_attention.query_key_value", sizes.key_value_heads,
                        "self_attention.dense", options, attention);
    first.body = std::move(attention);
    second.body = add_plain_mlp(builder, sizes, "mlp.dense_h_to_4h", "mlp.dense_4h_to_h", options,
                                activation);
    builder.add({.branches = {std::move(first), std::move(second)}, .parallel = variant.parallel});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("transformer.ln_f", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", true));
  layout.prefix = "transformer.";
  layout.other_prefixes = {""};
  return layout;
}

}  // namespace qloft::architecture
