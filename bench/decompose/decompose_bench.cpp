// QLoRA's and LoftQ's start of one matrix. LoftQ at T = 5, rank 64, block 64 is what PEFT's
// loftq_init does with full SVDs. And qloft, on matrices of a Gram matrix that is made up.

#include <benchmark/benchmark.h>

#include <cmath>

#include "qloft/core.h"
#include "qloft/decompose.h"
#include "qloft/linalg.h"

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

// A Gram matrix of few strong directions over a diagonal that falls.
Matrix falling_gram(std::int64_t n) {
  constexpr std::int64_t kDirections = 64;
  Matrix directions(n, kDirections), gram(n, n);
  Random(2).fill_normal(directions.values());
  for (std::int64_t i = 0; i < n; ++i) {
    const float size = 1.f / std::sqrt(1.f + static_cast<float>(i % 97));
    for (std::int64_t k = 0; k < kDirections; ++k) {
      directions(i, k) *= size / (1.f + static_cast<float>(k));
    }
  }
  linalg::multiply(directions.view(), linalg::Transpose::no, directions.view(),
                   linalg::Transpose::yes, gram.view());
  for (std::int64_t i = 0; i < n; ++i) gram(i, i) += 1.f / (1.f + static_cast<float>(i % 97));
  return gram;
}

// Arguments: rows, columns, bits, effort, turns at most (0: the effort's own).
void decompose_qloft(benchmark::State& state) {
  Matrix weight(state.range(0), state.range(1));
  Random(1).fill_normal(weight.values());
  const decompose::Statistics statistics{
      .gram = falling_gram(state.range(1)), .fisher_rows = {}, .fisher_columns = {}};
  decompose::Recipe recipe = decompose::recipe_from(
      decompose::with_effort(decompose::preset("qloft"),
                             decompose::efforts()[static_cast<std::size_t>(state.range(3))].name));
  recipe.format.bits = static_cast<int>(state.range(2));
  recipe.rank = 64;
  if (state.range(4) > 0) recipe.iterations = static_cast<int>(state.range(4));
  double error = 0.0;
  for (auto _ : state) {
    error = decompose::decompose(weight.view(), recipe, statistics, "weight").final_metric_error();
  }
  state.counters["metric_error"] = error;
  state.counters["weights/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * weight.size()), benchmark::Counter::kIsRate);
}
BENCHMARK(decompose_qloft)
    ->ArgNames({"rows", "columns", "bits", "effort", "turns"})
    ->ArgsProduct({{2048}, {2048}, {2}, {0, 1, 2}, {0}})
    ->ArgsProduct({{4096}, {4096}, {2}, {0, 1, 2}, {0, 1}})
    ->Args({11008, 4096, 2, 0, 0})
    ->Args({4096, 11008, 2, 0, 0})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();

}  // namespace
