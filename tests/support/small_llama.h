#pragma once
// A Llama shape that takes megabytes, not kilobytes, to train.

#include <nlohmann/json.hpp>

#include "qloft/architecture.h"

namespace qloft::test {

inline io::Json small_llama_config() {
  return {{"model_type", "llama"},    {"hidden_size", 192},
          {"intermediate_size", 512}, {"num_hidden_layers", 4},
          {"num_attention_heads", 6}, {"num_key_value_heads", 2},
          {"vocab_size", 512},        {"max_position_embeddings", 1024}};
}

inline architecture::Layout small_llama() {
  return architecture::read_layout(small_llama_config(), "config.json");
}

}  // namespace qloft::test
