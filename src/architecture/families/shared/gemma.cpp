#include "gemma.h"

#include <cmath>
#include <string>

namespace qloft::architecture {
namespace {

// A number above 0, `fallback` where the field is missing, 0 where it is null.
double read_cap(const io::Field& config, const char* key, double fallback) {
  if (!config.has(key) && config.mentions(key)) return 0;
  return config.number(key, 1e-3, 1e6).value_or(fallback);
}

// The rotary embeddings of global layers (first) and of local ones.
std::vector<Rope> read_ropes(const io::Field& config, std::int64_t max_positions,
                             std::int64_t head_dim) {
  Rope global, local;
  global.theta = config.number("rope_theta", 1, 1e12).value_or(1e6);
  local.theta = config.number("rope_local_base_freq", 1, 1e12).value_or(1e4);
  global.dimensions = local.dimensions = head_dim;
  if (const auto scaling = config.find("rope_scaling")) {
    read_rope(config, *scaling, max_positions, head_dim, 1, global);
    return {global, local};
  }
  const auto both = config.find("rope_parameters");
  if (!both) return {global, local};
  if (const auto fields = both->find("full_attention")) {
    read_rope(config, *fields, max_positions, head_dim, 1, global);
  }
  if (const auto fields = both->find("sliding_attention")) {
    read_rope(config, *fields, max_positions, head_dim, 1, local);
  }
  return {global, local};
}

}  // namespace

GatedDecoder read_gemma(const io::Field& config, LayoutBuilder& builder,
                        std::int64_t default_positions, std::int64_t default_vocabulary,
                        double default_score_cap, double default_logit_cap) {
  GatedDecoder out;
  out.sizes = read_sizes(
      config, {.default_heads = 8, .default_key_value_heads = 4, .default_head_dim = 256});
  Layout& layout = builder.layout();
  read_common(config, "max_position_embeddings", default_positions, layout, default_vocabulary);
  out.epsilon = config.number("rms_norm_eps", 0, 1).value_or(out.epsilon);
  out.norm_offset = 1;
  out.tied = read_flag(config, "tie_word_embeddings", true);
  const char* activation = config.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  out.activation = read_activation(config, activation, "gelu_pytorch_tanh");
  if (out.activation == Activation::gelu) out.activation = Activation::gelu_tanh;
  out.query_key_value_bias = out.output_bias = read_flag(config, "attention_bias", false);
  out.after_attention = "post_attention_layernorm";
  out.before_mlp = "pre_feedforward_layernorm";
  out.after_mlp = "post_feedforward_layernorm";
  out.score_scale = 1 / std::sqrt(config.number("query_pre_attn_scalar", 1e-6, 1e6).value_or(256));
  out.soft_cap = read_cap(config, "attn_logit_softcapping", default_score_cap);
  layout.output.soft_cap = read_cap(config, "final_logit_softcapping", default_logit_cap);
  layout.embedding.multiplier = std::sqrt(static_cast<double>(out.sizes.hidden));
  if (read_flag(config, "use_bidirectional_attention", false)) {
    config.fail("use_bidirectional_attention", "expected false: a decoder sees no later tokens");
  }
  return out;
}

Layout gemma3_layout(const io::Field& config, const std::string& family, const std::string& stem,
                     std::optional<bool> tied) {
  LayoutBuilder builder(family, stem + "layers.");
  GatedDecoder decoder = read_gemma(config, builder, 131072, 262208, 0, 0);
  decoder.query_key_norm = Attention::NormSpan::head;
  decoder.soft_cap = 0;  // transformers reads attn_logit_softcapping, but uses it in Gemma 2 alone
  decoder.tied = tied.value_or(decoder.tied);
  Layout& layout = builder.layout();
  layout.ropes = read_ropes(config, layout.max_positions, decoder.sizes.head_dim);

  std::vector<bool> local = read_layer_types(config, decoder.sizes.layers);
  const std::int64_t pattern = config.integer("sliding_window_pattern", 1, kMaxLayers).value_or(6);
  for (std::int64_t i = std::ssize(local); i < decoder.sizes.layers; ++i) {
    local.push_back((i + 1) % pattern != 0);
  }
  decoder.window_of_layer = windows_of(local, read_window(config, 4096));
  for (const bool is_local : local) decoder.rope_of_layer.push_back(is_local ? 1 : 0);
  add_gated_decoder(builder, decoder, stem);
  return layout;
}

}  // namespace qloft::architecture
