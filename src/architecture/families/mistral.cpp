// Mistral 7B (Jiang et al. 2023): a Llama whose layers all attend to a window.
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout mistral(const io::Field& config) {
  LayoutBuilder builder("mistral", "model.layers.");
  GatedDecoder decoder =
      read_gated_decoder(config, builder, {.default_key_value_heads = 8}, 4096 * 32);
  decoder.window_of_layer.assign(static_cast<std::size_t>(decoder.sizes.layers),
                                 read_window(config, 4096));
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
