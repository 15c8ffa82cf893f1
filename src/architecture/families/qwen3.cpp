// Qwen3 (Yang et al. 2025): RMS norms of each head's query and key.
#include "shared/qwen.h"

namespace qloft::architecture {

Layout qwen3(const io::Field& config) {
  LayoutBuilder builder("qwen3", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(
      config, builder, {.default_key_value_heads = 32, .default_head_dim = 128}, 32768);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.query_key_norm = Attention::NormSpan::head;
  decoder.window_of_layer = read_qwen_windows(config, decoder.sizes.layers);
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
