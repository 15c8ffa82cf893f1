// StableLM (Stability AI 2023): layer norms, a gated MLP, rotary embeddings of part of each head,
// and in some sizes a norm for each head or both branches side by side.
#include <string>
#include <utility>

#include "shared/gated_decoder.h"
#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

std::vector<Norm> add_head_norms(LayoutBuilder& builder, const std::string& name,
                                 std::int64_t heads, std::int64_t head_dim, double epsilon) {
  std::vector<Norm> out;
  for (std::int64_t head = 0; head < heads; ++head) {
    out.push_back(builder.layer_norm(name + ".norms." + std::to_string(head), head_dim, epsilon,
                                     /*bias=*/false));
  }
  return out;
}

}  // namespace

Layout stablelm(const io::Field& config) {
  LayoutBuilder builder("stablelm", "model.layers.");
  Layout& layout = builder.layout();
  const Sizes sizes = read_sizes(config, {.default_key_value_heads = 32, .reads_head_dim = false});
  read_common(config, "max_position_embeddings", 4096, layout);
  layout.hidden_size = sizes.hidden;
  layout.ropes = {parse_rope(config, layout.max_positions, sizes.head_dim, {.partial = 0.25})};
  const double epsilon = config.number("layer_norm_eps", 0, 1).value_or(1e-5);
  const Activation activation = read_activation(config, "hidden_act", "silu");
  const bool parallel = read_flag(config, "use_parallel_residual", false);
  const bool norm_heads = read_flag(config, "qk_layernorm", false);
  const bool bias = read_flag(config, "use_qkv_bias", false);

  builder.token_embedding("model.embed_tokens", sizes.hidden);
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    builder.begin_block();
    Branch first, second;
    first.before = builder.layer_norm("input_layernorm", sizes.hidden, epsilon);
    second.before = parallel
                        ? first.before
                        : builder.layer_norm("post_attention_layernorm", sizes.hidden, epsilon);
    Attention attention = attention_of(sizes);
    attention.rope = 0;
    if (norm_heads) {
      attention.norm_span = Attention::NormSpan::own_for_each_head;
      attention.query_norms =
          add_head_norms(builder, "self_attn.q_layernorm", sizes.heads, sizes.head_dim, epsilon);
      attention.key_norms = add_head_norms(builder, "self_attn.k_layernorm", sizes.key_value_heads,
                                           sizes.head_dim, epsilon);
    }
    add_separate_attention(builder, sizes, "self_attn", "o_proj", bias, false, attention);
    first.body = std::move(attention);
    second.body = add_gated_mlp(builder, "mlp", sizes.hidden, sizes.inner, false, activation);
    builder.add({.branches = {std::move(first), std::move(second)}, .parallel = parallel});
  }
  builder.end_blocks();
  layout.output.norm = builder.layer_norm("model.norm", sizes.hidden, epsilon);
  builder.output_matrix("lm_head", sizes.hidden, read_flag(config, "tie_word_embeddings", false));
  return layout;
}

}  // namespace qloft::architecture
