// Granite 3 (IBM 2024): a Llama with multipliers of embedding, scores, branches and logits.
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout granite(const io::Field& config) {
  LayoutBuilder builder("granite", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(config, builder, {}, 2048);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.mlp_bias = read_flag(config, "mlp_bias", false);
  constexpr double kMost = 1e6;
  decoder.score_scale = config.number("attention_multiplier", 1e-9, kMost).value_or(1);
  decoder.residual_multiplier = config.number("residual_multiplier", 1e-9, kMost).value_or(1);
  Layout& layout = builder.layout();
  layout.embedding.multiplier = config.number("embedding_multiplier", 1e-9, kMost).value_or(1);
  layout.output.multiplier = 1 / config.number("logits_scaling", 1e-9, kMost).value_or(1);
  add_gated_decoder(builder, decoder);
  return layout;
}

}  // namespace qloft::architecture
