// OLMo 2 (2024): norms of each branch's result rather than of its input, and of all heads' queries
// and keys as one row.
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout olmo2(const io::Field& config) {
  LayoutBuilder builder("olmo2", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(config, builder, {}, 2048);
  decoder.epsilon = config.number("rms_norm_eps", 0, 1).value_or(1e-5);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.query_key_norm = Attention::NormSpan::all_heads;
  decoder.before_attention = decoder.before_mlp = nullptr;
  decoder.after_attention = "post_attention_layernorm";
  decoder.after_mlp = "post_feedforward_layernorm";
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
