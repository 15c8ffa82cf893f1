#include <gtest/gtest.h>

#include "qloft/architecture/memory.h"

namespace qloft::model {
namespace {

Architecture small_llama() {
  Architecture a;
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

TEST(TrainingMemory, PackedWeightsTakeTheirBits) {
  const Architecture architecture = small_llama();
  const TrainingShape shape;
  const auto at = [&](double bits) {
    return adapter_training_memory(architecture, shape,
                                   [bits](std::int64_t, std::int64_t) { return bits; })
        .weights;
  };
  double linear = 0;
  for (const LinearShape& layer : linear_layers(architecture)) {
    linear += static_cast<double>(layer.out * layer.in);
  }
  EXPECT_NEAR(at(4) - at(2), linear * 2 / 8, 1.0);
}

}  // namespace
}  // namespace qloft::model
