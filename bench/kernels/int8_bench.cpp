// Products in 8 bits, piece by piece, on one thread: elements a second of quantizing, operations a
// second of multiplying (two for every product).
//
//   kernels_int8_bench
#include <benchmark/benchmark.h>

#include <vector>

#include "qloft/core/random.h"
#include "qloft/kernels/int8.h"

namespace qloft::kernels {
namespace {

constexpr std::int64_t kColumns = 2048;
// Rows at a multiple of 4096 bytes would share the first cache's sets.
constexpr std::int64_t kStride = kColumns + 16;
constexpr std::int64_t kBlocks = kColumns / kInt8Block;

std::vector<float> normal(std::int64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count));
  Random(1).fill_normal(out);
  return out;
}

void count_elements(benchmark::State& state, std::int64_t elements) {
  state.counters["elements/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * elements), benchmark::Counter::kIsRate);
}

// What `kQuantize` makes of as many rows as one block has.
template <typename Block, auto kQuantize, std::int64_t kRows>
void quantize(benchmark::State& state) {
  const auto values = normal(kRows * kStride);
  std::vector<Block> out(static_cast<std::size_t>(kBlocks));
  for (auto _ : state) {
    (int8_table().*kQuantize)(values.data(), kStride, kRows, kColumns, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  count_elements(state, kRows * kColumns);
}
BENCHMARK(quantize<Int8Activations, &Int8Table::quantize_activations, kInt8Rows>)
    ->Name("QuantizeActivations");
BENCHMARK(quantize<Int8Weights, &Int8Table::quantize_weights, kInt8Columns>)
    ->Name("QuantizeWeights");

void QuantizeTransposedWeights(benchmark::State& state) {
  constexpr std::int64_t kSlice = 512;
  const auto w = normal(kInt8Block * kStride);
  Int8Weights out;
  for (auto _ : state) {
    for (std::int64_t first = 0; first < kSlice; first += kInt8Columns) {
      int8_table().quantize_transposed_weights(w.data() + first, kStride, kInt8Block, kInt8Columns,
                                               &out);
      benchmark::DoNotOptimize(&out);
    }
  }
  count_elements(state, kInt8Block * kSlice);
}
BENCHMARK(QuantizeTransposedWeights);

void Multiply(benchmark::State& state) {
  const auto x = normal(kInt8Rows * kStride), w = normal(kInt8Columns * kStride);
  std::vector<Int8Activations> a(static_cast<std::size_t>(kBlocks));
  std::vector<Int8Weights> b(static_cast<std::size_t>(kBlocks));
  int8_table().quantize_activations(x.data(), kStride, kInt8Rows, kColumns, a.data());
  int8_table().quantize_weights(w.data(), kStride, kInt8Columns, kColumns, b.data());
  float y[kInt8Rows * kInt8Columns];
  for (auto _ : state) {
    int8_table().multiply(a.data(), b.data(), kBlocks, y);
    benchmark::DoNotOptimize(y);
  }
  state.counters["operations/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * 2 * kInt8Rows * kInt8Columns * kColumns),
      benchmark::Counter::kIsRate);
}
BENCHMARK(Multiply);

}  // namespace
}  // namespace qloft::kernels
