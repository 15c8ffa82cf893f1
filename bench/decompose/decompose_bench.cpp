// QLoRA's and LoftQ's start of one matrix. LoftQ at T = 5, rank 64, block 64 is what PEFT's
// loftq_init does with full SVDs.

#include <benchmark/benchmark.h>

#include "qloft/core.h"
#include "qloft/decompose.h"

namespace {

using namespace qloft;

// Arguments: order, bits, iterations (0: QLoRA's start).
void decompose_matrix(benchmark::State& state) {
  Matrix weight(state.range(0), state.range(0));
  Random(1).fill_normal(weight.values());
  decompose::Recipe recipe = decompose::recipe_from(decompose::preset("loftq"));
  recipe.format.bits = static_cast<int>(state.range(1));
  recipe.iterations = static_cast<int>(state.range(2));
  recipe.rank = 64;
  double error = 0.0;
  for (auto _ : state) {
    error = decompose::decompose(weight.view(), recipe, "weight").final_error();
  }
  state.counters["relative_error"] = error;
}
BENCHMARK(decompose_matrix)
    ->ArgNames({"order", "bits", "iterations"})
    ->Args({4096, 4, 0})
    ->Args({4096, 4, 1})
    ->Args({4096, 4, 5})
    ->Args({4096, 2, 5})
    ->Args({1024, 4, 5})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
