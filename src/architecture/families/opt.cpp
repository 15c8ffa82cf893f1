// OPT (Zhang et al. 2022): learned positions from row 2 on; in its 350M size norms after the
// residual sum and a narrower embedding.
#include <utility>

#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

constexpr std::int64_t kPositionOffset = 2;
constexpr double kEpsilon = 1e-5;  // of torch's LayerNorm

}  // namespace

Layout opt(const io::Field& config) {
  LayoutBuilder builder("opt", "model.decoder.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes =
      read_sizes(config, {.inner = "ffn_dim", .key_value_heads = nullptr, .reads_head_dim = false});
  read_common(config, "max_position_embeddings", 2048, layout);
  layout.hidden_size = sizes.hidden;
  layout.initializer_range = config.number("init_std", 0, 1).value_or(layout.initializer_range);
  const std::int64_t width =
      config.integer("word_embed_proj_dim", 1, kMaxSize).value_or(sizes.hidden);
  const Activation activation = read_activation(config, "activation_function", "relu");
  const bool norm_before = read_flag(config, "do_layer_norm_before", true);
  const bool bias = read_flag(config, "enable_bias", true);
  if (!read_flag(config, "layer_norm_elementwise_affine", true)) {
    config.fail("layer_norm_elementwise_affine", "expected true");
  }

  builder.token_embedding("model.decoder.embed_tokens", width);
  builder.position_embedding("model.decoder.embed_positions",
                             layout.max_positions + kPositionOffset, sizes.hidden);
  layout.embedding.position_offset = kPositionOffset;
  if (width != sizes.hidden) {
    layout.embedding.projection =
        builder.linear("model.decoder.project_in", sizes.hidden, width, {.role = Role::projection});
  }
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    auto& first_norm = norm_before ? first.before : first.after_sum;
    auto& second_norm = norm_before ? second.before : second.after_sum;
    first_norm = builder.layer_norm("self_attn_layer_norm", sizes.hidden, kEpsilon);
    second_norm = builder.layer_norm("final_layer_norm", sizes.hidden, kEpsilon);
    Attention attention = attention_of(sizes);
    add_separate_attention(builder, sizes, "self_attn", "out_proj", bias, bias, attention);
    first.body = std::move(attention);
    second.body = add_plain_mlp(builder, sizes, "fc1", "fc2", {.bias = bias}, activation);
    builder.add({.branches = {std::move(first), std::move(second)}});
  }
  builder.end_blocks();
  if (norm_before && !read_flag(config, "_remove_final_layer_norm", false)) {
    layout.output.norm =
        builder.layer_norm("model.decoder.final_layer_norm", sizes.hidden, kEpsilon);
  }
  if (width != sizes.hidden) {
    layout.output.projection = builder.linear("model.decoder.project_out", width, sizes.hidden,
                                              {.role = Role::projection});
  }
  builder.output_matrix("lm_head", width, read_flag(config, "tie_word_embeddings", true));
  layout.prefix = "model.decoder.";
  layout.other_prefixes = {"decoder."};
  return layout;
}

}  // namespace qloft::architecture
