// Encoding and decoding on one thread. bytes_per_second: of text. The peer is
// bench/peers/tokenizers_peer.py, which takes the same folder and file:
//
//   QLOFT_BENCH_MODEL=FOLDER QLOFT_BENCH_TEXT=FILE text_tokenizer_bench

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "qloft/tokenizer.h"

namespace {

using qloft::tokenizer::Tokenizer;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

const Tokenizer& tokenizer() {
  static const Tokenizer one = Tokenizer::load(variable("QLOFT_BENCH_MODEL"));
  return one;
}

const std::string& text() {
  static const std::string all = [] {
    std::ostringstream out;
    out << std::ifstream(variable("QLOFT_BENCH_TEXT")).rdbuf();
    return out.str();
  }();
  return all;
}

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text().size()));
}

void load(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(variable("QLOFT_BENCH_MODEL")));
}

void encode_whole(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer().encode(text()));
  count_bytes(state);
}

void encode_lines(benchmark::State& state) {
  std::vector<std::string> lines;
  std::istringstream in(text());
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  for (auto _ : state) {
    for (const std::string& line : lines) benchmark::DoNotOptimize(tokenizer().encode(line));
  }
  count_bytes(state);
}

void decode_whole(benchmark::State& state) {
  const auto ids = tokenizer().encode(text());
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer().decode(ids));
  count_bytes(state);
}

BENCHMARK(load)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_whole)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_lines)->Unit(benchmark::kMillisecond);
BENCHMARK(decode_whole)->Unit(benchmark::kMillisecond);

}  // namespace
