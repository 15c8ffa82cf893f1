// Llama (Touvron et al. 2023) and its kin: config.json's model_type "llama".
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout llama(const io::Field& config) {
  LayoutBuilder builder("llama", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(config, builder, {}, 2048);
  decoder.query_key_value_bias = decoder.output_bias = read_flag(config, "attention_bias", false);
  decoder.mlp_bias = read_flag(config, "mlp_bias", false);
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
