// A QLoRA training step of a 1.1 B Llama shape: forward, backward and AdamW, rank 64 on all
// linears.
//
//   train_step_bench --benchmark_filter=bf16:1/int8:0/checkpointing:0
#include <ATen/TensorOperators.h>
#include <ATen/ops/randint.h>
#include <benchmark/benchmark.h>

#include "../../src/train/optimizer.h"
#include "../model/llama_1b.h"
#include "qloft/objectives.h"

namespace qloft::train {
namespace {

constexpr std::int64_t kLength = 512;

// Arguments: activations (0 f32, 1 bf16), products with the base in 8 bits, checkpointing.
void TrainStep(benchmark::State& state) {
  model::Model& model = model::packed_model(4, state.range(0) == 0 ? at::kFloat : at::kBFloat16,
                                            /*output_matrix=*/false, state.range(1) != 0);
  if (model.adapters().empty()) model.attach("a", model::random_adapter(model.layout()), true);
  model.set_checkpointing(state.range(2) != 0);
  model.set_training(true);
  const model::Input input{
      at::randint(0, 32000, {1, kLength}, at::kLong), {}, {}, {model.find_adapter("a")}};
  train::AdamW optimizer(model.trainable(), {});
  reset_peak_resident_bytes();
  for (auto _ : state) {
    const auto loss = objectives::next_token(model, input);
    (loss.sum / static_cast<double>(loss.count)).backward();
    optimizer.step(1e-4, 1.0);
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations() * kLength),
                                                  benchmark::Counter::kIsRate);
  state.counters["peak_MB"] = static_cast<double>(peak_resident_bytes()) / 1e6;
}
BENCHMARK(TrainStep)
    ->ArgNames({"bf16", "int8", "checkpointing"})
    ->ArgsProduct({{0, 1}, {0, 1}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace qloft::train
