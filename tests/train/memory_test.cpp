// qloft/architecture/memory.h against what a training step really takes. Sanitizers keep memory of
// their own, so that their builds go without this test.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include "qloft/core/memory.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "../../src/train/optimizer.h"
#include "qloft/architecture/memory.h"
#include "qloft/core/random.h"
#include "qloft/model.h"
#include "qloft/objectives.h"
#include "small_llama.h"

namespace qloft::train {
namespace {

using test::small_llama;

constexpr std::int64_t kRank = 16;

adapter::Adapter adapter_for(const architecture::Layout& layout) {
  adapter::Adapter adapter;
  adapter.config.rank = kRank;
  adapter.config.alpha = kRank;
  Random random(2);
  for (const architecture::ParameterId id : architecture::linear_layers(layout)) {
    const architecture::Parameter& layer = layout.parameter(id);
    auto& factors = adapter.modules[layer.module()];
    factors = {Matrix(kRank, layer.columns()), Matrix(layer.rows(), kRank)};
    random.fill_normal(factors.a.values(), 0.f, 0.02f);
  }
  return adapter;
}

void run_step(model::Model& model, AdamW& optimizer, std::int64_t rows, std::int64_t length) {
  const auto loss = objectives::next_token(
      model, {.ids = at::randint(0, 512, {rows, length}, at::kLong), .adapters = {0}});
  (loss.sum / static_cast<double>(loss.count)).backward();
  optimizer.step(1e-4, 1.0);
}

class StepMemory : public ::testing::TestWithParam<bool> {};

// What stays between steps (weights, moments) is there after the first, small step; what the large
// one adds are the gradients and the activations.
TEST_P(StepMemory, IsWithinFifteenPercentOfThePrediction) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 4 << 20);  // as the program does: a freed tensor goes back at once
#endif
  architecture::TrainingShape shape;
  shape.rows = 16;
  shape.length = 512;
  shape.rank = kRank;
  shape.checkpointing = GetParam();
  shape.weights = ElementType::f32;
  quant::Format format;
  const auto predicted = architecture::adapter_training_memory(
      small_llama(), shape, [&](std::int64_t rows, std::int64_t columns) {
        return format.bits_per_weight(rows, columns);
      });

  model::Model model = model::Model::random(small_llama(), {}, 1, format);
  model.attach("a", adapter_for(small_llama()), true);
  model.set_checkpointing(shape.checkpointing);
  model.set_training(true);
  AdamW optimizer(model.trainable(), {});
  run_step(model, optimizer, 1, 64);
  const auto before = static_cast<double>(resident_bytes());
  ASSERT_TRUE(reset_peak_resident_bytes()) << "the system does not count peaks anew";
  run_step(model, optimizer, shape.rows, shape.length);
  const double measured = static_cast<double>(peak_resident_bytes()) - before;
  EXPECT_NEAR(measured / (predicted.activations + predicted.gradients), 1.0, 0.15)
      << measured / 1e6 << " MB measured, " << predicted.activations / 1e6 << " MB of activations";
}

INSTANTIATE_TEST_SUITE_P(Checkpointing, StepMemory, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "on" : "off"; });

}  // namespace
}  // namespace qloft::train

#endif
