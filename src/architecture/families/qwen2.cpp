// Qwen2 and Qwen2.5 (Yang et al. 2024): a Llama with biases on query, key and value.
#include "shared/qwen.h"

namespace qloft::architecture {

Layout qwen2(const io::Field& config) {
  LayoutBuilder builder("qwen2", "model.layers.");
  GatedDecoder decoder =
      read_gated_decoder(config, builder, {.default_key_value_heads = 32}, 32768);
  decoder.query_key_value_bias = true;
  decoder.window_of_layer = read_qwen_windows(config, decoder.sizes.layers);
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
