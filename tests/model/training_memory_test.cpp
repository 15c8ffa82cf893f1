#include <gtest/gtest.h>

#include "qloft/architecture/memory.h"
#include "small_llama.h"

namespace qloft::model {
namespace {

using test::small_llama;

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
