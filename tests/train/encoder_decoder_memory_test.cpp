// The prediction of memory for encoder-decoders, as memory_test.cpp has it for decoders.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <ATen/TensorOperators.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <nlohmann/json.hpp>

#include "../../src/train/optimizer.h"
#include "qloft/architecture.h"
#include "qloft/architecture/memory.h"
#include "qloft/core/memory.h"
#include "qloft/core/random.h"
#include "qloft/model.h"
#include "qloft/objectives.h"

namespace qloft::train {
namespace {

constexpr std::int64_t kFactorRank = 16;

architecture::Layout pair_of(const std::string& family) {
  io::Json config;
  if (family == "bart") {
    config = {{"model_type", "bart"},
              {"vocab_size", 512},
              {"d_model", 256},
              {"encoder_layers", 2},
              {"decoder_layers", 2},
              {"encoder_ffn_dim", 1024},
              {"decoder_ffn_dim", 1024},
              {"encoder_attention_heads", 4},
              {"decoder_attention_heads", 4},
              {"max_position_embeddings", 512}};
  } else {
    config = {{"model_type", "t5"}, {"vocab_size", 512},
              {"d_model", 256},     {"d_kv", 64},
              {"d_ff", 1024},       {"num_layers", 2},
              {"num_heads", 4},     {"feed_forward_proj", "gated-gelu"}};
  }
  return architecture::read_layout(config, "config.json");
}

void attach_factors(model::Model& model) {
  adapter::Adapter adapter;
  adapter.config.rank = kFactorRank;
  adapter.config.alpha = kFactorRank;
  Random random(2);
  for (const auto id : architecture::linear_layers(model.layout())) {
    const architecture::Parameter& layer = model.layout().parameter(id);
    auto& factors = adapter.modules[layer.module()];
    factors = {Matrix(kFactorRank, layer.columns()), Matrix(layer.rows(), kFactorRank)};
    random.fill_normal(factors.a.values(), 0.f, 0.02f);
  }
  model.attach("a", adapter, true);
}

void take_step(model::Model& model, AdamW& optimizer, std::int64_t rows, std::int64_t length) {
  const auto tokens = [&] { return at::randint(0, 512, {rows, length}, at::kLong); };
  const auto loss = objectives::sequence_to_sequence(model, {tokens(), {}}, tokens(), 0, {0});
  (loss.sum / static_cast<double>(loss.count)).backward();
  optimizer.step(1e-4, 1.0);
}

struct MemoryCase {
  const char* family;
  bool checkpointing;
};
class PairMemory : public ::testing::TestWithParam<MemoryCase> {};

TEST_P(PairMemory, IsWithinFifteenPercentOfThePrediction) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 4 << 20);  // as the program does: a freed tensor goes back at once
#endif
  const auto layout = pair_of(GetParam().family);
  architecture::TrainingShape shape;
  shape.rows = 16;
  shape.length = 384;
  shape.rank = kFactorRank;
  shape.checkpointing = GetParam().checkpointing;
  shape.weights = ElementType::f32;
  quant::Format format;
  const auto predicted = architecture::adapter_training_memory(
      layout, shape, [&](std::int64_t rows, std::int64_t columns) {
        return format.bits_per_weight(rows, columns);
      });
  model::Model model = model::Model::random(layout, {}, 1, format);
  attach_factors(model);
  model.set_checkpointing(shape.checkpointing);
  model.set_training(true);
  AdamW optimizer(model.trainable(), {});
  take_step(model, optimizer, 1, 64);
  const auto before = static_cast<double>(resident_bytes());
  ASSERT_TRUE(reset_peak_resident_bytes()) << "the system does not count peaks anew";
  take_step(model, optimizer, shape.rows, shape.length);
  const double measured = static_cast<double>(peak_resident_bytes()) - before;
  EXPECT_NEAR(measured / (predicted.activations + predicted.gradients), 1.0, 0.15)
      << measured / 1e6 << " MB measured, " << predicted.activations / 1e6 << " MB of activations";
}

INSTANTIATE_TEST_SUITE_P(Families, PairMemory,
                         ::testing::Values(MemoryCase{"bart", false}, MemoryCase{"bart", true},
                                           MemoryCase{"t5", false}, MemoryCase{"t5", true}),
                         [](const auto& test) {
                           return std::string(test.param.family) +
                                  (test.param.checkpointing ? "_recomputed" : "_kept");
                         });

}  // namespace
}  // namespace qloft::train

#endif
