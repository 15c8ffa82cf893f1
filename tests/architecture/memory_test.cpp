#include "qloft/architecture/memory.h"

#include <gtest/gtest.h>

#include "small_llama.h"

namespace qloft::architecture {
namespace {

TEST(TrainingMemory, PackedWeightsTakeTheirBits) {
  const Layout layout = test::small_llama();
  const TrainingShape shape;
  const auto at = [&](double bits) {
    return adapter_training_memory(layout, shape,
                                   [bits](std::int64_t, std::int64_t) { return bits; })
        .weights;
  };
  double linear = 0;
  for (const ParameterId id : linear_layers(layout)) {
    linear += static_cast<double>(layout.parameter(id).elements());
  }
  EXPECT_NEAR(at(4) - at(2), linear * 2 / 8, 1.0);
}

}  // namespace
}  // namespace qloft::architecture
