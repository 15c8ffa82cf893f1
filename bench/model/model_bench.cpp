// A training step and decoding of a 1.1 B Llama shape with random weights, packed in memory.
//
//   model_model_bench --benchmark_filter=Decode/4
//
// Making the weights takes longer than measuring them: they are kept from one benchmark to the
// next.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <benchmark/benchmark.h>

#include <optional>

#include "qloft/core.h"
#include "qloft/model.h"

namespace qloft::model {
namespace {

constexpr std::int64_t kRank = 64;
constexpr std::int64_t kLength = 512;

Architecture llama_1b() {
  Architecture a;
  a.family = "llama";
  a.hidden_size = 2048;
  a.intermediate_size = 5632;
  a.layers = 22;
  a.heads = 32;
  a.key_value_heads = 4;
  a.head_dim = 64;
  a.vocabulary_size = 32000;
  a.max_positions = 2048;
  a.rms_norm_epsilon = 1e-5;
  a.layer_uses_window.assign(22, 0);
  return a;
}

adapter::Adapter random_adapter(const Architecture& architecture) {
  adapter::Adapter out;
  out.config.rank = kRank;
  out.config.alpha = static_cast<double>(kRank);
  Random random(2);
  for (const LinearShape& linear : linear_layers(architecture)) {
    auto& factors = out.modules[linear.name];
    factors = {Matrix(kRank, linear.in), Matrix(linear.out, kRank)};
    random.fill_normal(factors.a.values(), 0.f, 0.02f);
  }
  return out;
}

// The model packed to `bits`, with bf16 embeddings; the last one made is kept.
Model& packed_model(int bits, at::ScalarType activations) {
  struct Kept {
    int bits;
    at::ScalarType activations;
    Model model;
  };
  static std::optional<Kept> kept;
  if (!kept || kept->bits != bits || kept->activations != activations) {
    kept.reset();
    quant::Format format;
    format.bits = bits;
    format.second_level = quant::SecondLevel{};
    const LoadOptions options{.dtype = activations, .stored = at::kBFloat16};
    kept = Kept{bits, activations, Model::random(llama_1b(), options, 1, format)};
    at::set_num_threads(thread_count());
  }
  return kept->model;
}

// Arguments: activations (0 f32, 1 bf16), checkpointing.
void TrainStep(benchmark::State& state) {
  Model& model = packed_model(4, state.range(0) == 0 ? at::kFloat : at::kBFloat16);
  if (model.adapters().empty()) model.attach("a", random_adapter(model.architecture()), true);
  model.set_checkpointing(state.range(1) != 0);
  model.set_training(true);
  const Input input{at::randint(0, 32000, {1, kLength}, at::kLong), {}, {}};
  const auto trainable = model.trainable();
  reset_peak_resident_bytes();
  for (auto _ : state) {
    for (const auto& [name, tensor] : trainable) tensor.mutable_grad() = at::Tensor();
    const auto loss = model.loss(input, {});
    (loss.sum / static_cast<double>(loss.count)).backward();
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations() * kLength),
                                                  benchmark::Counter::kIsRate);
  state.counters["peak_MB"] = static_cast<double>(peak_resident_bytes()) / 1e6;
}
BENCHMARK(TrainStep)
    ->ArgNames({"bf16", "checkpointing"})
    ->Args({0, 0})
    ->Args({0, 1})
    ->Args({1, 0})
    ->Args({1, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Arguments: bits, with an adapter.
void Decode(benchmark::State& state) {
  constexpr std::int64_t kPrompt = 64, kNew = 16;
  Model& model = packed_model(static_cast<int>(state.range(0)), at::kFloat);
  if (state.range(1) != 0 && model.adapters().empty()) {
    model.attach("a", random_adapter(model.architecture()), false);
  }
  model.activate(state.range(1) != 0 ? "a" : "");
  model.set_training(false);
  const at::NoGradGuard no_grad;
  auto cache = model.make_cache(1, kPrompt + kNew);
  model.hidden({at::randint(0, 32000, {1, kPrompt}, at::kLong), {}, {}}, &cache);
  at::Tensor next = at::tensor({{1}}, at::kLong);
  for (auto _ : state) {
    cache.truncate(kPrompt);
    for (std::int64_t i = 0; i < kNew; ++i) {
      next = model.logits(model.hidden({next, {}, {}}, &cache)).argmax(-1);
    }
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations() * kNew),
                                                  benchmark::Counter::kIsRate);
}
BENCHMARK(Decode)
    ->ArgNames({"bits", "adapter"})
    ->Args({4, 0})
    ->Args({4, 1})
    ->Args({3, 0})
    ->Args({2, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace qloft::model
