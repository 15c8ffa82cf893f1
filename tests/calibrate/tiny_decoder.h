#pragma once
// The layout of a decoder of two blocks, small enough for gradients of all weights.

#include "small_llama.h"

namespace qloft::test {

// `more`: what its config.json has in place of these.
inline architecture::Layout tiny_decoder(const io::Json& more = io::Json::object()) {
  io::Json config = small_llama_config();
  config.update({{"hidden_size", 48},
                 {"intermediate_size", 80},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 3},
                 {"num_key_value_heads", 1},
                 {"initializer_range", 0.2}});
  config.update(more);
  return architecture::read_layout(config, "config.json");
}

}  // namespace qloft::test
