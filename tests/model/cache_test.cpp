// Passes over caches of every type.
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace qloft::model {
namespace {

using at::Tensor;
using testing::HasSubstr;

std::vector<std::int64_t> part(const Tensor& ids, std::int64_t first, std::int64_t count) {
  const auto* from = ids.data_ptr<std::int64_t>() + first;
  return {from, from + count};
}

TEST(Cache, GivesWhatTheWholeTextGives) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Model model = small_model({.dtype = type}, quant::Format{});
    const Tensor ids = random_ids(1, 10);
    const Tensor whole = model.hidden({ids});
    auto cache = model.make_cache(10);
    const double tolerance = type == at::kFloat ? 2e-3 : 0.1;
    for (const std::int64_t count : {6, 3, 1}) {
      const Tensor last = model.extend({{&cache, part(ids, cache.length(), count)}});
      EXPECT_LE(distance(last[0], whole[0][cache.length() - 1]), tolerance);
    }
    EXPECT_EQ(cache.length(), 10);
  }
}

constexpr StoredType kCacheTypes[] = {StoredType::f32, StoredType::bf16, StoredType::int8};

TEST(Cache, OfFewerBitsGivesNearlyTheLogitsOfF32) {
  const Tensor ids = random_ids(1, 30);
  const auto logits_of = [&](StoredType type) {
    Model model = small_model({.cache = type});
    auto cache = model.make_cache(30);
    EXPECT_EQ(cache.type(), type);
    return model.logits(model.extend({{&cache, part(ids, 0, 30)}}, NewTokens::all));
  };
  const Tensor exact = logits_of(StoredType::f32);
  const auto relative = [&](StoredType type) {
    return ((logits_of(type) - exact).norm() / exact.norm()).item<double>();
  };
  const double bf16 = relative(StoredType::bf16), int8 = relative(StoredType::int8);
  EXPECT_GT(bf16, 1e-5);
  EXPECT_LE(bf16, 0.008);
  EXPECT_GT(int8, 1e-4);
  EXPECT_LE(int8, 0.02);
}

TEST(Cache, ThatIsForkedGoesItsOwnWayAndFollowsAnother) {
  const Tensor ids = random_ids(1, 10);
  for (const StoredType type : kCacheTypes) {
    Model model = small_model({.cache = type});
    auto whole = model.make_cache(10);
    const Tensor expected = model.extend({{&whole, part(ids, 0, 10)}}, NewTokens::all)[9];
    auto first = model.make_cache(10);
    model.extend({{&first, part(ids, 0, 6)}});
    auto second = first.fork();
    model.extend({{&second, {3, 4, 5}}});
    model.extend({{&first, part(ids, 6, 2)}});
    second.follow(first, 6);
    EXPECT_EQ(second.length(), 8);
    for (auto* cache : {&first, &second}) {
      EXPECT_LE(distance(model.extend({{cache, part(ids, 8, 2)}})[0], expected), 1e-5)
          << name(type);
    }
    auto small = model.make_cache(4);
    EXPECT_THROW(small.follow(first, 0), InputError);
    EXPECT_THROW(second.follow(first, 11), InputError);
  }
}

TEST(Cache, GivesTheSameTokenByTokenAndAtOnce) {
  const Tensor ids = random_ids(1, 10);
  for (const StoredType type : kCacheTypes) {
    Model model = small_model({.cache = type});
    auto at_once = model.make_cache(10), by_token = model.make_cache(10);
    const Tensor expected = model.extend({{&at_once, part(ids, 0, 10)}}, NewTokens::all);
    ASSERT_EQ(expected.size(0), 10);
    for (std::int64_t i = 0; i < 10; ++i) {
      const Tensor last = model.extend({{&by_token, part(ids, i, 1)}});
      EXPECT_LE(distance(last[0], expected[i]), 0.01) << name(type) << ", " << i;
    }
  }
}

TEST(Cache, GoesBack) {
  for (const StoredType type : kCacheTypes) {
    Model model = small_model({.cache = type});
    const Tensor ids = random_ids(1, 8);
    auto cache = model.make_cache(8);
    model.extend({{&cache, part(ids, 0, 5)}});
    const Tensor first = model.extend({{&cache, part(ids, 5, 3)}});
    cache.truncate(5);
    EXPECT_TRUE(model.extend({{&cache, part(ids, 5, 3)}}).equal(first)) << name(type);
    EXPECT_THAT(error_of([&] { cache.truncate(9); }), HasSubstr("expected a length from 0 to 8"));
  }
}

TEST(Cache, KeepsWhatItHoldsWhenItGrows) {
  for (const StoredType type : kCacheTypes) {
    Model model = small_model({.cache = type});
    const Tensor ids = random_ids(1, 8);
    auto small = model.make_cache(5), large = model.make_cache(8);
    for (auto* cache : {&small, &large}) model.extend({{cache, part(ids, 0, 5)}});
    small.reserve(8);
    EXPECT_EQ(small.capacity(), 8);
    EXPECT_EQ(small.bytes(), large.bytes());
    const Tensor last = model.extend({{&small, part(ids, 5, 3)}});
    EXPECT_TRUE(last.equal(model.extend({{&large, part(ids, 5, 3)}}))) << name(type);
  }
}

TEST(Cache, OfEightBitsTakesUpAQuarterOfF32) {
  const auto bytes = [](StoredType type) {
    return static_cast<double>(small_model({.cache = type}).make_cache(10).bytes());
  };
  EXPECT_EQ(bytes(StoredType::bf16), bytes(StoredType::f32) / 2);
  EXPECT_LE(bytes(StoredType::int8), bytes(StoredType::f32) / 3);
}

TEST(Extend, GivesEachSequenceWhatItGetsAlone) {
  Model model = small_model();
  const AdapterId a = model.attach("a", random_adapter(model.layout(), 3, 1), false);
  const AdapterId b = model.attach("b", random_adapter(model.layout(), 2, 2), false);
  model.set_training(false);
  const std::vector<AdapterId> adapters = {a, kNoAdapter, b, a};
  const std::vector<std::int64_t> before = {3, 0, 5, 0}, added = {1, 4, 1, 2};
  std::vector<KeyValueCache> caches;
  std::vector<Continuation> together;
  std::vector<Tensor> alone;
  for (std::size_t i = 0; i < adapters.size(); ++i) caches.push_back(model.make_cache(8));
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    const Tensor ids = random_ids(1, 8, 10 + i);
    const Input whole{ids.narrow(1, 0, before[i] + added[i]), {}, {}, {adapters[i]}};
    alone.push_back(model.hidden(whole)[0][before[i] + added[i] - 1]);
    if (before[i] > 0) model.extend({{&caches[i], part(ids, 0, before[i]), adapters[i]}});
    together.push_back({&caches[i], part(ids, before[i], added[i]), adapters[i]});
  }
  EXPECT_LE(distance(model.extend(together), at::stack(alone)), 1e-4);
}

TEST(Extend, GivesTheStatesOfAllNewTokensOfEachSequenceWithEveryCache) {
  for (const StoredType type : kCacheTypes) {
    Model model = small_model({.cache = type});
    const AdapterId a = model.attach("a", random_adapter(model.layout(), 3, 1), false);
    model.set_training(false);
    const std::vector<AdapterId> adapters = {kNoAdapter, a, a};
    const std::vector<std::int64_t> before = {5, 0, 2}, added = {1, 6, 3};
    std::vector<KeyValueCache> caches;
    std::vector<Continuation> together;
    std::vector<Tensor> alone;
    for (std::size_t i = 0; i < 6; ++i) caches.push_back(model.make_cache(8));
    for (std::size_t i = 0; i < 3; ++i) {
      const Tensor ids = random_ids(1, 8, 10 + i);
      for (auto* cache : {&caches[i], &caches[3 + i]}) {
        if (before[i] > 0) model.extend({{cache, part(ids, 0, before[i]), adapters[i]}});
      }
      together.push_back({&caches[i], part(ids, before[i], added[i]), adapters[i]});
      alone.push_back(
          model.extend({{&caches[3 + i], together.back().ids, adapters[i]}}, NewTokens::all));
    }
    const Tensor found = model.extend(together, NewTokens::all);
    EXPECT_LE(distance(found, at::cat(alone)), 1e-4) << name(type);
  }
}

TEST(Extend, RefusesWhatItsCachesCannotHold) {
  Model model = small_model();
  auto cache = model.make_cache(4);
  const auto error = [&](const std::vector<Continuation>& sequences) {
    return error_of([&] { model.extend(sequences); });
  };
  EXPECT_THAT(error({}), HasSubstr("expected at least one"));
  EXPECT_THAT(error({{&cache, {}}}), HasSubstr("expected 1 to 4 more positions"));
  EXPECT_THAT(error({{&cache, {1, 2, 3, 4, 5}}}), HasSubstr("expected 1 to 4 more positions"));
  EXPECT_THAT(error({{&cache, {1}}, {&cache, {2}}}), HasSubstr("expected one for each sequence"));
  EXPECT_THAT(error({{&cache, {64}}}), HasSubstr("expected ids below the vocabulary's size"));
  EXPECT_EQ(cache.length(), 0);
}

}  // namespace
}  // namespace qloft::model
