// Products and factorizations at the shapes of LoftQ on a 4096 x 4096 matrix.

#include <benchmark/benchmark.h>

#include "qloft/core.h"
#include "qloft/linalg.h"

namespace {

using namespace qloft;
using namespace qloft::linalg;

Matrix noise(std::int64_t rows, std::int64_t columns) {
  Matrix a(rows, columns);
  Random(1).fill_normal(a.values());
  return a;
}

// c [m, n] = op(a) op(b); arguments: m, n, k, whether a is transposed.
void multiply_f32(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const Transpose transpose{state.range(3) != 0};
  const Matrix a = transpose == Transpose::yes ? noise(k, m) : noise(m, k);
  const Matrix b = noise(k, n);
  Matrix c(m, n);
  for (auto _ : state) {
    multiply(a.view(), transpose, b.view(), Transpose::no, c.view());
    benchmark::DoNotOptimize(c.data());
  }
  state.counters["FLOP/s"] = benchmark::Counter(
      2.0 * static_cast<double>(m * n * k) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}
BENCHMARK(multiply_f32)
    ->ArgNames({"m", "n", "k", "transposed"})
    ->Args({4096, 72, 4096, 0})
    ->Args({4096, 72, 4096, 1})
    ->Args({4096, 4096, 64, 0})
    ->Args({4096, 4096, 4096, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void orthonormalize_f32(benchmark::State& state) {
  const Matrix a = noise(state.range(0), state.range(1));
  for (auto _ : state) {
    Matrix q = a;
    benchmark::DoNotOptimize(orthonormalize(q.view()).data());
  }
}
BENCHMARK(orthonormalize_f32)
    ->Args({4096, 72})
    ->Args({4096, 216})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Arguments: order, rank, power iterations.
void randomized_svd_f32(benchmark::State& state) {
  const Matrix a = noise(state.range(0), state.range(0));
  for (auto _ : state) {
    Random random(1);
    benchmark::DoNotOptimize(
        randomized_svd(
            a.view(),
            {.rank = state.range(1), .power_iterations = static_cast<int>(state.range(2))}, random)
            .s.data());
  }
}
BENCHMARK(randomized_svd_f32)
    ->Args({4096, 64, 2})
    ->Args({4096, 64, 3})
    ->Args({256, 16, 6})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void svd_f32(benchmark::State& state) {
  const Matrix a = noise(state.range(0), state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(svd(a.view()).s.data());
}
BENCHMARK(svd_f32)->Arg(256)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
