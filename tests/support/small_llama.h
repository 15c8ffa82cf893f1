#pragma once
// A Llama shape that takes megabytes, not kilobytes, to train.

#include "qloft/architecture.h"

namespace qloft::test {

inline model::Architecture small_llama() {
  model::Architecture a;
  a.family = "llama";
  a.hidden_size = 192;
  a.intermediate_size = 512;
  a.layers = 4;
  a.heads = 6;
  a.key_value_heads = 2;
  a.head_dim = 32;
  a.vocabulary_size = 512;
  a.max_positions = 1024;
  a.layer_uses_window.assign(4, 0);
  return a;
}

}  // namespace qloft::test
