// Qwen1.5-MoE and Qwen2-MoE: routed experts beside one for every token, weighted by a gate.
#include "shared/qwen.h"

namespace qloft::architecture {

Layout qwen2_moe(const io::Field& config) {
  LayoutBuilder builder("qwen2_moe", "model.layers.");
  GatedDecoder decoder =
      read_gated_decoder(config, builder, {.default_key_value_heads = 16}, 32768);
  decoder.query_key_value_bias = read_flag(config, "qkv_bias", true);
  const std::int64_t window = read_window(config, 4096);
  if (read_flag(config, "use_sliding_window", false) && window > 0) {
    std::vector<bool> windowed = read_layer_types(config, decoder.sizes.layers);
    const std::int64_t most = config.integer("max_window_layers", 0, kMaxSize).value_or(28);
    for (auto i = std::ssize(windowed); i < decoder.sizes.layers; ++i) {
      windowed.push_back(i % 2 == 0 && i < most);
    }
    decoder.window_of_layer = windows_of(windowed, window);
  }
  read_qwen_experts(config, 60, 4,
                    config.integer("shared_expert_intermediate_size", 1, kMaxSize).value_or(5632),
                    decoder);
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
