// Decoding of a 1.1 B Llama shape with random weights, packed in memory.
//
//   model_model_bench --benchmark_filter=Decode/bits:4
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include "llama_1b.h"

namespace qloft::model {
namespace {

// Arguments: bits, with an adapter, with the output matrix packed too.
void Decode(benchmark::State& state) {
  constexpr std::int64_t kPrompt = 64, kNew = 16;
  Model& model = packed_model(static_cast<int>(state.range(0)), at::kFloat, state.range(2) != 0);
  const bool adapted = state.range(1) != 0;
  if (adapted && model.adapters().empty()) {
    model.attach("a", random_adapter(model.layout()), false);
  }
  const AdapterId adapter = adapted ? model.find_adapter("a") : kNoAdapter;
  model.set_training(false);
  const at::NoGradGuard no_grad;
  auto cache = model.make_cache(kPrompt + kNew);
  model.extend({{&cache, std::vector<std::int64_t>(kPrompt, 17), adapter}});
  std::int64_t next = 1;
  for (auto _ : state) {
    cache.truncate(kPrompt);
    for (std::int64_t i = 0; i < kNew; ++i) {
      const at::Tensor hidden = model.extend({{&cache, {next}, adapter}});
      next = model.logits(hidden, {adapter}).argmax(-1).item<std::int64_t>();
    }
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations() * kNew),
                                                  benchmark::Counter::kIsRate);
}
BENCHMARK(Decode)
    ->ArgNames({"bits", "adapter", "output"})
    ->Args({4, 0, 0})
    ->Args({4, 1, 0})
    ->Args({4, 0, 1})
    ->Args({3, 0, 0})
    ->Args({2, 0, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace qloft::model
