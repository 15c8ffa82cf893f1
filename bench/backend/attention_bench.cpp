// Attention of a layer of a 1.1 B Llama shape (32 heads, 4 of keys and values, 64 dimensions) on
// one row in bf16: by products in f32, by products in bf16 on the processor's units, and by torch's
// own, which repeats keys and values for every head. And of one new token behind what a cache of
// each type holds.
//
//   backend_attention_bench --benchmark_filter=length:512/threads:2
//   backend_attention_bench --benchmark_filter=OverCache --benchmark_repetitions=5
//       --benchmark_enable_random_interleaving=true
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <benchmark/benchmark.h>

#include "../../src/backend/cpu/attention.h"
#include "../../src/backend/cpu/bf16_blocks.h"
#include "qloft/core.h"

namespace qloft::backend {
namespace {

using at::Tensor;

constexpr std::int64_t kHeads = 32, kKeyValueHeads = 4, kHeadDim = 64;
constexpr float kScale = 0.125f;

Tensor in_f32(const Tensor& q, const Tensor& k, const Tensor& v) {
  return attention_by(Products::f32, q, k, v, {}, {kScale, 0, {}});
}
Tensor in_bf16(const Tensor& q, const Tensor& k, const Tensor& v) {
  return attention_by(Products::bf16, q, k, v, {}, {kScale, 0, {}});
}
Tensor by_torch(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto heads = [](const Tensor& x) {
    return x.repeat_interleave(kHeads / kKeyValueHeads, 2).transpose(1, 2);
  };
  return at::scaled_dot_product_attention(q.transpose(1, 2), heads(k), heads(v), {}, 0, true,
                                          kScale)
      .transpose(1, 2);
}

// Arguments: length, threads, whether gradients are computed, too.
void Attention(benchmark::State& state,
               Tensor (*attention)(const Tensor&, const Tensor&, const Tensor&)) {
  if (attention == in_bf16 && !has_block_units()) {
    return state.SkipWithError("no units for bf16");
  }
  const std::int64_t length = state.range(0);
  const int threads = static_cast<int>(state.range(1));
  const bool backward = state.range(2) != 0;
  set_thread_count(threads);
  at::set_num_threads(attention == by_torch ? threads : 1);
  const auto random = [&](std::int64_t heads) {
    return at::randn({1, length, heads, kHeadDim}).to(at::kBFloat16).set_requires_grad(backward);
  };
  const Tensor q = random(kHeads), k = random(kKeyValueHeads), v = random(kKeyValueHeads);
  const Tensor gradient = at::ones_like(q).detach();
  for (auto _ : state) {
    const Tensor out = attention(q, k, v);
    if (!backward) continue;
    out.backward(gradient);
    for (const Tensor* x : {&q, &k, &v}) x->mutable_grad() = Tensor();
  }
}

void arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"length", "threads", "backward"})
      ->ArgsProduct({{512, 2048}, {1, 2}, {0, 1}})
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}
BENCHMARK_CAPTURE(Attention, f32, in_f32)->Apply(arguments);
BENCHMARK_CAPTURE(Attention, bf16, in_bf16)->Apply(arguments);
BENCHMARK_CAPTURE(Attention, torch, by_torch)->Apply(arguments);

// Arguments: positions in the cache, threads.
void OverCache(benchmark::State& state, StoredType type) {
  const at::NoGradGuard no_gradients;
  const std::int64_t past = state.range(0);
  set_thread_count(static_cast<int>(state.range(1)));
  CachedSequence one{{}, {}, 0, 1, past};
  for (CachedHeads* heads : {&one.keys, &one.values}) {
    *heads = make_cached_heads(type, kKeyValueHeads, past + 1, kHeadDim, at::kCPU);
    store(*heads, 0, at::randn({1, past + 1, kKeyValueHeads, kHeadDim}));
  }
  const Tensor q = at::randn({1, 1, kHeads, kHeadDim});
  for (auto _ : state) {
    benchmark::DoNotOptimize(attention_over_caches(q, {&one, 1}, 0, {kScale, 0, {}}).data_ptr());
  }
  state.SetBytesProcessed(state.iterations() * (one.keys.bytes() + one.values.bytes()));
}

void cache_arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"past", "threads"})
      ->ArgsProduct({{2048, 16384}, {1, 2}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK_CAPTURE(OverCache, f32, StoredType::f32)->Apply(cache_arguments);
BENCHMARK_CAPTURE(OverCache, bf16, StoredType::bf16)->Apply(cache_arguments);
BENCHMARK_CAPTURE(OverCache, int8, StoredType::int8)->Apply(cache_arguments);

}  // namespace
}  // namespace qloft::backend
