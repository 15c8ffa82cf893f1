// GPT-NeoX (Black et al. 2022) and Pythia: query, key and value of each head next to each other in
// one matrix, and attention and MLP side by side, each behind a norm of its own.
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {

Layout gpt_neox(const io::Field& config) {
  LayoutBuilder builder("gpt_neox", "gpt_neox.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes = read_sizes(config, {.key_value_heads = nullptr, .reads_head_dim = false});
  read_common(config, "max_position_embeddings", 2048, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {
      parse_rope(config, layout.max_positions, sizes.head_dim,
                 {.partial = 0.25, .theta_key = "rotary_emb_base", .partial_key = "rotary_pct"})};
  const double epsilon = config.number("layer_norm_eps", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "hidden_act", "gelu");
  const bool parallel = read_flag(config, "use_parallel_residual", true);
  const bool bias = read_flag(config, "attention_bias", true);

  builder.token_embedding("gpt_neox.embed_in", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.layer_norm("input_layernorm", sizes.hidden, epsilon);
    second.before = builder.layer_norm("post_attention_layernorm", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    attention.rope = 0;
    add_fused_attention(builder, sizes, "attention.query_key_value", sizes.heads, "attention.dense",
                        {.bias = bias}, attention);
    first.body = std::move(attention);
    second.body = add_plain_mlp(builder, sizes, "mlp.dense_h_to_4h", "mlp.dense_4h_to_h",
                                {.bias = true}, activation);
    builder.add({.branches = {std::move(first), std::move(second)}, .parallel = parallel});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("gpt_neox.final_layer_norm", sizes.hidden, epsilon);
  const ParameterId head = builder.output_matrix("embed_out", sizes.hidden,
                                                 read_flag(config, "tie_word_embeddings", false));
  const std::vector<std::int64_t> shape = {layout.vocabulary_size, sizes.hidden};
  layout.parameters[static_cast<std::size_t>(head)].storages = {{{"embed_out.weight", shape}},
                                                                {{"lm_head.weight", shape}}};
  layout.foreign_suffixes = {".attention.bias", ".attention.masked_bias"};
  return layout;
}

}  // namespace qloft::architecture
