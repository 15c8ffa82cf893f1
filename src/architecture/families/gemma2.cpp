// Gemma 2 (Riviere et al. 2024): soft caps of scores and logits, and a window in every other layer.
#include "shared/gemma.h"

namespace qloft::architecture {

Layout gemma2(const io::Field& config) {
  LayoutBuilder builder("gemma2", "model.layers.");
  GatedDecoder decoder = read_gemma(config, builder, 8192, 256000, 50, 30);
  Layout& layout = builder.layout();
  layout.ropes = {parse_rope(config, layout.max_positions, decoder.sizes.head_dim)};
  std::vector<bool> windowed = read_layer_types(config, decoder.sizes.layers);
  for (std::int64_t i = std::ssize(windowed); i < decoder.sizes.layers; ++i) {
    windowed.push_back(i % 2 == 0);
  }
  decoder.window_of_layer = windows_of(windowed, read_window(config, 4096));
  add_gated_decoder(builder, decoder);
  return layout;
}

}  // namespace qloft::architecture
