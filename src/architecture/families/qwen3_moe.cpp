// Qwen3-MoE (Yang et al. 2025): Qwen3 with routed experts.
#include "shared/qwen.h"

namespace qloft::architecture {

Layout qwen3_moe(const io::Field& config) {
  LayoutBuilder builder("qwen3_moe", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(config, builder, {.default_key_value_heads = 4}, 32768);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.query_key_norm = Attention::NormSpan::head;
  if (read_flag(config, "use_sliding_window", false)) {
    decoder.window_of_layer.assign(static_cast<std::size_t>(decoder.sizes.layers),
                                   read_window(config, 4096));
  }
  read_qwen_experts(config, 128, 8, 0, decoder);
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
