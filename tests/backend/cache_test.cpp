// Caches of every type, on the CPU and by torch's operators, beside formulas on what was stored.
#include "qloft/backend/cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "../../src/backend/cpu/attention.h"
#include "../../src/backend/operations.h"
#include "gradients.h"
#include "qloft/core.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::distance;

constexpr StoredType kTypes[] = {StoredType::f32, StoredType::bf16, StoredType::int8};
constexpr const Operations* kBoth[] = {&kCpuOperations, &kTorchOperations};

CachedHeads empty_cache(StoredType type, std::int64_t heads, std::int64_t capacity,
                        std::int64_t head_dim) {
  CachedHeads cache = make_cached_heads(type, heads, capacity, head_dim, at::kCPU);
  // What is not filled is in no result.
  if (cache.scales.defined()) cache.scales.fill_(NAN);
  return cache;
}

// What is read of x [1, count, heads, head_dim] in f32, in its order.
Tensor stored_and_read(const Operations& by, const CachedHeads& cache, const Tensor& x) {
  by.store(cache, 0, x);
  return by.read(cache, x.size(1), at::kFloat).transpose(1, 2);
}

TEST(Cache, GivesBackWhatItWasGivenWithinTheRoundingOfItsType) {
  at::manual_seed(1);
  for (const StoredType type : kTypes) {
    for (const std::int64_t head_dim : {8, 33, 64, 80}) {
      for (const Operations* by : kBoth) {
        SCOPED_TRACE(std::string(name(type)) + ", " + std::to_string(head_dim));
        const Tensor x = at::randn({1, 5, 3, head_dim});
        const Tensor found = stored_and_read(*by, empty_cache(type, 3, 7, head_dim), x);
        const Tensor rounded = type == StoredType::bf16 ? x.to(at::kBFloat16).to(at::kFloat) : x;
        EXPECT_TRUE(type == StoredType::int8 || found.equal(rounded));
        const double error = ((found - x).norm() / x.norm()).item<double>();
        EXPECT_LE(error, 0.008);
        EXPECT_TRUE(type != StoredType::int8 || error > 0.002) << error;
      }
    }
  }
}

// As biases of keys make it (Qwen2): rounded as they are, the others would have an error of 0.3.
TEST(Cache, OfEightBitsKeepsWhatStandsBesideAnElementThatIsFarLarger) {
  at::manual_seed(9);
  Tensor x = at::randn({1, 50, 1, 64});
  const Tensor others = x.narrow(-1, 0, 20).clone();
  x.select(-1, 20).add_(150);
  for (const Operations* by : kBoth) {
    const Tensor found = stored_and_read(*by, empty_cache(StoredType::int8, 1, 50, 64), x);
    const Tensor error = found.narrow(-1, 0, 20) - others;
    EXPECT_LE((error.norm() / others.norm()).item<double>(), 0.08);
  }
}

TEST(Cache, TakesActivationsOfBothTypes) {
  at::manual_seed(2);
  const Tensor x = at::randn({1, 3, 2, 40}).to(at::kBFloat16);
  for (const StoredType type : kTypes) {
    for (const Operations* by : kBoth) {
      const Tensor wide = stored_and_read(*by, empty_cache(type, 2, 3, 40), x.to(at::kFloat));
      EXPECT_TRUE(stored_and_read(*by, empty_cache(type, 2, 3, 40), x).equal(wide)) << name(type);
    }
  }
}

TEST(Cache, HasTheSameCodesOnEveryDevice) {
  at::manual_seed(3);
  for (const std::int64_t head_dim : {16, 33, 128}) {
    Tensor x = at::randn({1, 9, 2, head_dim}) * 20;
    x[0][1].copy_(at::arange(head_dim) - 3.5);
    x[0][1].select(-1, 0).fill_(127);
    x[0][2].fill_(0);
    x[0][3].mul_(1e-38);
    x[0][4].mul_(1e35);
    CachedHeads caches[2];
    for (int i = 0; i < 2; ++i) {
      caches[i] = empty_cache(StoredType::int8, 2, 9, head_dim);
      kBoth[i]->store(caches[i], 0, x);
    }
    EXPECT_TRUE(caches[0].values.equal(caches[1].values)) << head_dim;
    EXPECT_TRUE(caches[0].scales.equal(caches[1].scales)) << head_dim;
    EXPECT_LE(caches[0].values.max().item<int>(), 127);
    EXPECT_GE(caches[0].values.min().item<int>(), -127);
  }
}

TEST(Cache, HidesNoInfinityAndNothingThatIsNotANumber) {
  for (const StoredType type : kTypes) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const Operations* by : kBoth) {
        Tensor x = at::randn({1, 2, 1, 70});
        x[0][1][0][40] = bad;
        const Tensor found = stored_and_read(*by, empty_cache(type, 1, 2, 70), x);
        EXPECT_FALSE(std::isfinite(found[0][1][0][40].item<float>())) << name(type);
        EXPECT_TRUE(found[0][0].isfinite().all().item<bool>()) << name(type);
      }
    }
  }
}

TEST(Cache, StoresBehindWhatItHoldsAndKeepsThatWhenItGrows) {
  at::manual_seed(4);
  const Tensor x = at::randn({1, 6, 2, 48});
  for (const StoredType type : kTypes) {
    for (const Operations* by : kBoth) {
      const Tensor whole = stored_and_read(*by, empty_cache(type, 2, 6, 48), x);
      CachedHeads cache = empty_cache(type, 2, 4, 48);
      by->store(cache, 0, x.narrow(1, 0, 4));
      cache = grown(cache, 9, 4);
      EXPECT_EQ(cache.capacity(), 9);
      by->store(cache, 4, x.narrow(1, 4, 2));
      EXPECT_TRUE(by->read(cache, 6, at::kFloat).transpose(1, 2).equal(whole)) << name(type);
    }
  }
}

TEST(Cache, TakesUpAsManyBitsAValueAsItsTypeSays) {
  const auto bits = [](StoredType type, std::int64_t head_dim) {
    return 8. * static_cast<double>(make_cached_heads(type, 2, 10, head_dim, at::kCPU).bytes()) /
           static_cast<double>(2 * 10 * head_dim);
  };
  EXPECT_EQ(bits(StoredType::f32, 64), 32);
  EXPECT_EQ(bits(StoredType::bf16, 64), 16);
  EXPECT_EQ(bits(StoredType::int8, 64), 8.5);
  EXPECT_EQ(bits(StoredType::int8, 80), 8 + 3 * 16 / 80.);
}

// ------------------------------------------------------------------------------- attention

struct CachedCase {
  const char* name;
  std::int64_t heads, key_value_heads, head_dim;
  std::int64_t window = 0;
  float soft_cap = 0;
  std::vector<float> slopes = {};

  Scores scores() const {
    return {static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim))), soft_cap, slopes};
  }
};

// Sequences of few queries and of many, behind nothing, less than a block and several.
struct Caches {
  Caches(const CachedCase& c, StoredType type, at::ScalarType queries_type) {
    at::manual_seed(5);
    std::vector<Tensor> queries, results;
    std::int64_t first = 0;
    const std::pair<std::int64_t, std::int64_t> lengths[] = {{0, 1},   {150, 1}, {7, 3}, {63, 4},
                                                             {130, 5}, {0, 70},  {90, 9}};
    for (const auto& [past, count] : lengths) {
      const std::int64_t length = past + count;
      CachedSequence sequence{empty_cache(type, c.key_value_heads, length + 3, c.head_dim),
                              empty_cache(type, c.key_value_heads, length + 3, c.head_dim), first,
                              count, past};
      const Tensor own = at::randn({1, length, c.heads, c.head_dim}).to(queries_type);
      std::vector<Tensor> read;
      for (const CachedHeads* cache : {&sequence.keys, &sequence.values}) {
        store(*cache, 0, at::randn({1, length, c.key_value_heads, c.head_dim}));
        read.push_back(backend::read(*cache, length, at::kFloat).transpose(1, 2));
      }
      results.push_back(
          kTorchOperations
              .attention(own.to(at::kFloat), read[0], read[1], {c.window, {}}, c.scores())
              .narrow(1, past, count));
      queries.push_back(own.narrow(1, past, count));
      sequences.push_back(sequence);
      first += count;
    }
    q = at::cat(queries, 1);
    expected = at::cat(results, 1);
  }

  std::vector<CachedSequence> sequences;
  Tensor q;
  Tensor expected;  // f32, from what the caches hold
};

class AttentionOverCachesOfEachType : public testing::TestWithParam<CachedCase> {};

TEST_P(AttentionOverCachesOfEachType, AgreesWithAttentionOverWhatTheyHold) {
  const CachedCase& c = GetParam();
  for (const StoredType type : kTypes) {
    for (const auto queries_type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::string(name(type)) + (queries_type == at::kFloat ? "" : ", bf16 queries"));
      const Caches caches(c, type, queries_type);
      const double tolerance = queries_type == at::kFloat ? 2e-5 : 0.03;
      for (const Operations* by : kBoth) {
        const Tensor found =
            by->attention_over_caches(caches.q, caches.sequences, c.window, c.scores());
        EXPECT_EQ(found.scalar_type(), queries_type);
        EXPECT_LE(distance(found.to(at::kFloat), caches.expected), tolerance);
      }
      if (queries_type != at::kBFloat16) continue;
      const Tensor found = attention_over_caches_by(Products::bf16, caches.q, caches.sequences,
                                                    c.window, c.scores());
      EXPECT_LE(distance(found.to(at::kFloat), caches.expected), tolerance);
    }
  }
}

TEST_P(AttentionOverCachesOfEachType, GivesEachSequenceTheBitsThatItGetsAloneOnAnyThreads) {
  const CachedCase& c = GetParam();
  const int before = thread_count();
  for (const StoredType type : kTypes) {
    const Caches caches(c, type, at::kFloat);
    set_thread_count(3);
    const Tensor together = attention_over_caches(caches.q, caches.sequences, c.window, c.scores());
    set_thread_count(1);
    for (CachedSequence one : caches.sequences) {
      const Tensor q = caches.q.narrow(1, one.first, one.count);
      const Tensor expected = together.narrow(1, one.first, one.count);
      one.first = 0;
      EXPECT_TRUE(attention_over_caches(q, {&one, 1}, c.window, c.scores()).equal(expected))
          << name(type) << ", " << one.past;
    }
  }
  set_thread_count(before);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionOverCachesOfEachType,
    testing::Values(CachedCase{"grouped", 6, 2, 64}, CachedCase{"one_shared_head", 5, 1, 80},
                    CachedCase{"each_its_own", 3, 3, 33}, CachedCase{"large", 4, 2, 256},
                    CachedCase{"window", 4, 2, 32, 40},
                    CachedCase{"cap_and_slopes", 4, 2, 8, 0, 5, {0.1f, 0.2f, 0.3f, 0.f}}),
    [](const auto& of) { return of.param.name; });

TEST(AttentionOverCaches, KeepsAKeyThatIsNotANumber) {
  at::manual_seed(7);
  for (const StoredType type : kTypes) {
    for (const Operations* by : kBoth) {
      for (const std::int64_t count : {1, 20}) {
        Tensor k = at::randn({1, 30, 1, 16});
        k[0][3][0][2] = NAN;
        const CachedSequence one{empty_cache(type, 1, 30, 16), empty_cache(type, 1, 30, 16), 0,
                                 count, 30 - count};
        by->store(one.keys, 0, k);
        by->store(one.values, 0, at::randn({1, 30, 1, 16}));
        const Tensor found =
            by->attention_over_caches(at::randn({1, count, 2, 16}), {&one, 1}, 0, {0.25f, 0, {}});
        EXPECT_TRUE(found.isnan().all().item<bool>()) << name(type) << ", " << count;
      }
    }
  }
}

}  // namespace
}  // namespace qloft::backend
