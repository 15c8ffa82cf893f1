// Quantizing, dequantizing and the products of decoding, at every width.
// bytes_per_second: f32 input (quantize), packed bytes read (multiply); items_per_second: weights.

#include <benchmark/benchmark.h>

#include <numeric>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/core/threads.h"
#include "qloft/quant.h"

namespace {

using namespace qloft;

constexpr std::int64_t kRows = 2048;
constexpr std::int64_t kColumns = 5632;
constexpr std::int64_t kBeyondCaches = std::int64_t{1} << 28;  // bytes

const Matrix& weight() {
  static const Matrix w = [] {
    Matrix m(kRows, kColumns);
    Random(1).fill_normal(m.values());
    return m;
  }();
  return w;
}

quant::Format format_of(const benchmark::State& state) {
  quant::Format f;
  f.bits = static_cast<int>(state.range(0));
  if (f.bits == 1) f.codebook = quant::Codebook::binary;
  return f;
}

quant::Format trellis_of(const benchmark::State& state,
                         quant::Codebook codebook = quant::Codebook::trellis) {
  quant::Format f = format_of(state);
  f.codebook = codebook;
  f.scale_rule = quant::ScaleRule::mse;
  return f;
}

void count(benchmark::State& state, double bytes) {
  const auto runs = static_cast<double>(state.iterations());
  state.counters["weights/s"] =
      benchmark::Counter(runs * kRows * kColumns, benchmark::Counter::kIsRate);
  state.counters["bytes/s"] = benchmark::Counter(runs * bytes, benchmark::Counter::kIsRate);
}

void quantize(benchmark::State& state) {
  const quant::Format f = format_of(state);
  const MatrixView<const float> w = weight().view();
  for (auto _ : state) benchmark::DoNotOptimize(quant::quantize(w, f));
  count(state, 4.0 * kRows * kColumns);
}
BENCHMARK(quantize)->DenseRange(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);

void quantize_lloyd_mse(benchmark::State& state) {
  quant::Format f = format_of(state);
  f.codebook = quant::Codebook::lloyd;
  f.scale_rule = quant::ScaleRule::mse;
  const MatrixView<const float> w = weight().view();
  for (auto _ : state) benchmark::DoNotOptimize(quant::quantize(w, f));
  count(state, 4.0 * kRows * kColumns);
}
BENCHMARK(quantize_lloyd_mse)->DenseRange(2, 4)->UseRealTime()->Unit(benchmark::kMillisecond);

template <quant::Codebook codebook>
void quantize_trellis(benchmark::State& state) {
  const quant::Format f = trellis_of(state, codebook);
  const MatrixView<const float> w = weight().view().block(0, 0, 512, 1024);
  for (auto _ : state) benchmark::DoNotOptimize(quant::quantize(w, f));
  state.counters["weights/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * w.rows * w.columns), benchmark::Counter::kIsRate);
}
BENCHMARK(quantize_trellis<quant::Codebook::trellis>)
    ->Name("quantize_trellis")
    ->DenseRange(1, 4)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(quantize_trellis<quant::Codebook::trellis_short>)
    ->Name("quantize_trellis_short")
    ->DenseRange(1, 4)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

template <typename T>
void dequantize(benchmark::State& state) {
  const quant::PackedMatrix q = quant::quantize(weight().view(), format_of(state));
  std::vector<T> out(static_cast<std::size_t>(kRows * kColumns));
  for (auto _ : state) {
    quant::dequantize(q, MatrixView<T>(out.data(), kRows, kColumns));
    benchmark::ClobberMemory();
  }
  count(state, static_cast<double>(q.stored_bytes()));
}
BENCHMARK(dequantize<float>)->DenseRange(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(dequantize<BFloat16>)->DenseRange(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);

// Into one tile that stays in the cache, as training's products do.
void dequantize_tile_bf16(benchmark::State& state) {
  const quant::PackedMatrix q = quant::quantize(weight().view(), format_of(state));
  std::vector<BFloat16> out(static_cast<std::size_t>(16 * kColumns));
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kRows; i += 16) {
      quant::dequantize_tile(q, MatrixView<BFloat16>(out.data(), 16, kColumns), i, 0);
      benchmark::ClobberMemory();
    }
  }
  count(state, static_cast<double>(q.stored_bytes()));
}
BENCHMARK(dequantize_tile_bf16)->DenseRange(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);

void multiply_by(const quant::Format& format, benchmark::State& state) {
  const quant::PackedMatrix q = quant::quantize(weight().view(), format);
  // Several copies, so that no cache holds much of them.
  const std::vector<quant::PackedMatrix> copies(
      static_cast<std::size_t>(kBeyondCaches / q.stored_bytes() + 1), q);
  const std::int64_t n = state.range(1);
  Matrix x(n, kColumns);
  Random(2).fill_normal(x.values());
  Matrix y(n, kRows);
  std::size_t i = 0;
  for (auto _ : state) {
    quant::multiply_transposed(x.view(), copies[i++ % copies.size()], y.view());
    benchmark::ClobberMemory();
  }
  count(state, static_cast<double>(q.stored_bytes()));
}

void multiply(benchmark::State& state) {
  multiply_by(format_of(state), state);
}
BENCHMARK(multiply)
    ->ArgsProduct({{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 4, 16}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void multiply_trellis(benchmark::State& state) {
  multiply_by(trellis_of(state), state);
}
BENCHMARK(multiply_trellis)
    ->ArgsProduct({{1, 2, 3, 4}, {1, 4}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// An adapter's factors as decoding reads them: A [64, 2048], then B [5632, 64], in 8 bits.
void multiply_factors(benchmark::State& state) {
  const bool b_alone = state.range(0) == 1;
  quant::Format format;
  format.bits = 8;
  const std::int64_t rows = b_alone ? 5632 : 64, columns = b_alone ? 64 : 2048;
  const MatrixView<const float> w(weight().data(), rows, columns);
  const quant::PackedMatrix q = quant::quantize(w, format);
  const std::vector<quant::PackedMatrix> copies(
      static_cast<std::size_t>(kBeyondCaches / q.stored_bytes() + 1), q);
  Matrix x(1, columns), y(1, rows);
  Random(2).fill_normal(x.values());
  std::size_t i = 0;
  for (auto _ : state) {
    const quant::Product product{&copies[i++ % copies.size()], x.view(), y.view(), b_alone};
    quant::multiply_transposed({&product, 1});
    benchmark::ClobberMemory();
  }
  state.counters["bytes/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(q.stored_bytes()),
      benchmark::Counter::kIsRate);
}
BENCHMARK(multiply_factors)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMicrosecond);

// What there is to reach: bytes only summed.
void read_memory(benchmark::State& state) {
  constexpr std::int64_t kPiece = 1 << 14;  // of 8 bytes
  const std::vector<std::uint64_t> values(kBeyondCaches / 8);
  std::vector<std::uint64_t> sums(values.size() / kPiece);
  for (auto _ : state) {
    parallel_for(std::ssize(sums), 1, [&](std::int64_t piece, std::int64_t) {
      const std::uint64_t* p = values.data() + piece * kPiece;
      sums[static_cast<std::size_t>(piece)] = std::accumulate(p, p + kPiece, std::uint64_t{0});
    });
    benchmark::ClobberMemory();
  }
  state.counters["bytes/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * kBeyondCaches, benchmark::Counter::kIsRate);
}
BENCHMARK(read_memory)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
