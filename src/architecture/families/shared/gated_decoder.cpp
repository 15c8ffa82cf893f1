#include "gated_decoder.h"

#include <cmath>
#include <string>

namespace qloft::architecture {
namespace {

std::optional<Norm> add_norm(LayoutBuilder& builder, const GatedDecoder& d, const char* name) {
  if (name == nullptr) return std::nullopt;
  return builder.rms_norm(name, d.sizes.hidden, d.epsilon, d.norm_offset);
}

void add_query_key_norms(LayoutBuilder& builder, const GatedDecoder& d, Attention& attention) {
  if (!d.query_key_norm) return;
  const bool whole = *d.query_key_norm == Attention::NormSpan::all_heads;
  attention.norm_span = *d.query_key_norm;
  const auto width = [&](std::int64_t heads) { return d.sizes.head_dim * (whole ? heads : 1); };
  attention.query_norms = {
      builder.rms_norm("self_attn.q_norm", width(d.sizes.heads), d.epsilon, d.norm_offset)};
  attention.key_norms = {builder.rms_norm("self_attn.k_norm", width(d.sizes.key_value_heads),
                                          d.epsilon, d.norm_offset)};
}

void add_projections(LayoutBuilder& builder, const GatedDecoder& d, Attention& attention) {
  const std::int64_t queries = d.sizes.heads * d.sizes.head_dim;
  const std::int64_t keys = d.sizes.key_value_heads * d.sizes.head_dim;
  const std::string group = builder.full_name("self_attn");
  const bool bias = d.query_key_value_bias;
  const ParameterId query =
      builder.linear("self_attn.q_proj", queries, d.sizes.hidden, {.bias = bias, .group = group});
  attention.query = builder.whole(query);
  attention.key = builder.whole(builder.linear("self_attn.k_proj", keys, d.sizes.hidden,
                                               {.bias = bias, .input_of = query, .group = group}));
  attention.value = builder.whole(builder.linear(
      "self_attn.v_proj", keys, d.sizes.hidden, {.bias = bias, .input_of = query, .group = group}));
  attention.output =
      builder.linear("self_attn.o_proj", d.sizes.hidden, queries, {.bias = d.output_bias});
}

void add_block(LayoutBuilder& builder, const GatedDecoder& d, std::int64_t layer) {
  builder.begin_block();
  const auto at = static_cast<std::size_t>(layer);
  Attention attention;
  attention.heads = d.sizes.heads;
  attention.key_value_heads = d.sizes.key_value_heads;
  attention.head_dim = d.sizes.head_dim;
  attention.scale =
      d.score_scale != 0 ? d.score_scale : 1 / std::sqrt(static_cast<double>(d.sizes.head_dim));
  attention.soft_cap = d.soft_cap;
  attention.rope = d.rope_of_layer.empty() ? 0 : d.rope_of_layer[at];
  attention.window = d.window_of_layer.empty() ? 0 : d.window_of_layer[at];

  Branch first, second;
  first.multiplier = second.multiplier = d.residual_multiplier;
  first.before = add_norm(builder, d, d.before_attention);
  add_query_key_norms(builder, d, attention);
  first.after = add_norm(builder, d, d.after_attention);
  second.before = add_norm(builder, d, d.before_mlp);
  second.after = add_norm(builder, d, d.after_mlp);
  add_projections(builder, d, attention);
  first.body = std::move(attention);
  std::optional<Experts> experts;
  if (d.experts) experts = d.experts(builder, layer);
  if (experts) {
    second.body = std::move(*experts);
  } else {
    second.body =
        add_gated_mlp(builder, "mlp", d.sizes.hidden, d.sizes.inner, d.mlp_bias, d.activation);
  }
  Block block;
  block.branches = {std::move(first), std::move(second)};
  builder.add(std::move(block));
}

}  // namespace

Mlp add_gated_mlp(LayoutBuilder& builder, const std::string& name, std::int64_t hidden,
                  std::int64_t inner, bool bias, Activation activation) {
  Mlp mlp;
  mlp.activation = activation;
  const ParameterId gate = builder.linear(name + ".gate_proj", inner, hidden, {.bias = bias});
  mlp.gate = builder.whole(gate);
  mlp.up = builder.whole(
      builder.linear(name + ".up_proj", inner, hidden, {.bias = bias, .input_of = gate}));
  mlp.down = builder.linear(name + ".down_proj", hidden, inner, {.bias = bias});
  return mlp;
}

GatedDecoder read_gated_decoder(const io::Field& config, LayoutBuilder& builder,
                                const SizeNames& names, std::int64_t default_positions,
                                const RopeDefaults& rope) {
  GatedDecoder out;
  out.sizes = read_sizes(config, names);
  Layout& layout = builder.layout();
  read_common(config, "max_position_embeddings", default_positions, layout);
  out.epsilon = config.number("rms_norm_eps", 0, 1).value_or(out.epsilon);
  out.tied = read_flag(config, "tie_word_embeddings", false);
  out.activation = read_activation(config, "hidden_act", "silu");
  layout.ropes = {parse_rope(config, layout.max_positions, out.sizes.head_dim, rope)};
  return out;
}

void add_gated_decoder(LayoutBuilder& builder, const GatedDecoder& d, const std::string& stem) {
  Layout& layout = builder.layout();
  layout.hidden_size = d.sizes.hidden;
  builder.token_embedding(stem + "embed_tokens", d.sizes.hidden);
  for (std::int64_t layer = 0; layer < d.sizes.layers; ++layer) add_block(builder, d, layer);
  builder.end_blocks();
  layout.output.norm = builder.rms_norm(stem + "norm", d.sizes.hidden, d.epsilon, d.norm_offset);
  builder.output_matrix("lm_head", d.sizes.hidden, d.tied);
}

std::vector<std::int64_t> windows_of(const std::vector<bool>& windowed, std::int64_t window) {
  std::vector<std::int64_t> out;
  out.reserve(windowed.size());
  for (const bool has_window : windowed) out.push_back(has_window ? window : 0);
  return out;
}

}  // namespace qloft::architecture
