#include <gtest/gtest.h>
#include <torch/torch.h>

#include "qloft/architecture/memory.h"
#include "qloft/core.h"
#include "qloft/model.h"

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

adapter::Adapter random_adapter(const Architecture& architecture, std::int64_t rank) {
  adapter::Adapter out;
  out.config.rank = rank;
  out.config.alpha = static_cast<double>(rank);
  out.config.target_modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                               "gate_proj", "up_proj", "down_proj"};
  Random random(1);
  for (const LinearShape& layer : linear_layers(architecture)) {
    adapter::Factors factors{Matrix(rank, layer.in), Matrix(layer.out, rank)};
    random.fill_normal(factors.a.values(), 0.f, 0.02f);
    out.modules[layer.name] = std::move(factors);
  }
  return out;
}

// Forward and backward of one micro-batch.
void step(Model& model, const TrainingShape& shape) {
  const Input input{torch::randint(0, model.architecture().vocabulary_size,
                                   {shape.rows, shape.length}, torch::kInt64),
                    {},
                    {}};
  model.loss(input, {}).sum.backward();
}

TEST(TrainingMemory, PredictsTheMeasuredPeakOfAnAdapterStep) {
  const Architecture architecture = small_llama();
  for (const bool checkpointing : {false, true}) {
    TrainingShape shape{.rows = 16, .length = 512, .rank = 16, .checkpointing = checkpointing};
    Model model = Model::random(architecture, {}, 1, quant::Format{});
    model.attach("default", random_adapter(architecture, shape.rank), true);
    model.set_checkpointing(checkpointing);
    model.set_training(true);
    TrainingShape warm_up = shape;
    warm_up.rows = 1;
    step(model, warm_up);  // thread pools and code pages are no part of the prediction

    const auto before = static_cast<double>(resident_bytes());
    ASSERT_TRUE(reset_peak_resident_bytes());
    step(model, shape);
    const double measured = static_cast<double>(peak_resident_bytes()) - before;
    const double predicted = adapter_training_memory(architecture, shape, std::nullopt).activations;
    EXPECT_NEAR(predicted / measured, 1.0, 0.15)
        << "checkpointing " << checkpointing << ": predicted " << predicted / 1e6
        << " MB, measured " << measured / 1e6 << " MB";
  }
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
