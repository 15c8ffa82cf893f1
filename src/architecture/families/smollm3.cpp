// SmolLM3 (2025): a Llama with layers that have no rotary embedding.
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout smollm3(const io::Field& config) {
  LayoutBuilder builder("smollm3", "model.layers.");
  GatedDecoder decoder =
      read_gated_decoder(config, builder, {.default_key_value_heads = 4}, 32768, {.theta = 2e6});
  decoder.tied = read_flag(config, "tie_word_embeddings", true);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.mlp_bias = read_flag(config, "mlp_bias", false);

  const std::int64_t layers = decoder.sizes.layers;
  const std::int64_t interval = config.integer("no_rope_layer_interval", 1, kMaxLayers).value_or(4);
  // 1: the layer has it, in spite of the name.
  const auto list = config.find("no_rope_layers");
  const auto flags = list ? list->elements() : std::vector<io::Field>();
  if (list && std::ssize(flags) != layers) list->fail("expected 0 or 1 for each layer");
  for (std::int64_t i = 0; i < layers; ++i) {
    const bool rotated =
        list ? flags[static_cast<std::size_t>(i)].integer(0, 1) == 1 : (i + 1) % interval != 0;
    decoder.rope_of_layer.push_back(rotated ? 0 : -1);
  }
  const std::int64_t window = read_window(config, 0);
  if (read_flag(config, "use_sliding_window", false) && window > 0) {
    std::vector<bool> windowed = read_layer_types(config, layers);
    for (std::int64_t i = std::ssize(windowed); i < layers; ++i) {
      windowed.push_back(decoder.rope_of_layer[static_cast<std::size_t>(i)] < 0);
    }
    decoder.window_of_layer = windows_of(windowed, window);
  }
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
