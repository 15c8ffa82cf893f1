#include "qloft/model.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "qloft/core/error.h"
#include "support.h"

namespace qloft::model {
namespace {

using at::Tensor;
using testing::HasSubstr;

Model small_model(const LoadOptions& options = {},
                  const std::optional<quant::Format>& format = std::nullopt) {
  return Model::random(small_architecture(), options, 5, format);
}

double loss_of(Model& model, const Input& input) {
  const at::NoGradGuard no_grad;
  return model.loss(input, {}).sum.item<double>();
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Model, IsTheSameForTheSameSeed) {
  const Input input{random_ids(1, 8), {}, {}};
  Model a = small_model(), b = small_model();
  EXPECT_EQ(loss_of(a, input), loss_of(b, input));
  Model c = Model::random(small_architecture(), {}, 6);
  EXPECT_NE(loss_of(a, input), loss_of(c, input));
}

TEST(Model, StaysNearItselfWhenItIsPackedTo8Bits) {
  const Input input{random_ids(2, 16), {}, {}};
  Model dense = small_model();
  quant::Format format;
  format.bits = 8;
  Model packed = small_model({}, format);
  EXPECT_NEAR(loss_of(packed, input), loss_of(dense, input), 0.02 * loss_of(dense, input));
}

TEST(Model, StaysNearItselfInBf16) {
  const Input input{random_ids(2, 16), {}, {}};
  Model f32 = small_model();
  Model bf16 = small_model({.dtype = at::kBFloat16});
  EXPECT_EQ(bf16.hidden(input).scalar_type(), at::kBFloat16);
  EXPECT_NEAR(loss_of(bf16, input), loss_of(f32, input), 0.02 * loss_of(f32, input));
}

TEST(Model, TreatsPackedSegmentsAsRowsOfTheirOwn) {
  Model model = small_model();
  const Tensor a = random_ids(1, 9, 1), b = random_ids(1, 6, 2);
  Input packed{at::cat({a, b, at::zeros({1, 2}, at::kLong)}, 1), {}, {}};
  packed.positions =
      at::cat({at::arange(9), at::arange(6), at::zeros({2})}).to(at::kLong).unsqueeze(0);
  packed.segments =
      at::cat({at::zeros({9}), at::ones({6}), at::full({2}, -1)}).to(at::kLong).unsqueeze(0);
  const auto loss = model.loss(packed, {});
  EXPECT_EQ(loss.count, 8 + 5);
  EXPECT_NEAR(loss.sum.item<double>(), loss_of(model, {a, {}, {}}) + loss_of(model, {b, {}, {}}),
              1e-3);
}

TEST(Model, CountsOnlyWhatIsToBeLearned) {
  Model model = small_model();
  const Tensor ids = random_ids(1, 6);
  const Tensor learn = at::tensor({1, 0, 0, 1, 0, 1}, at::kLong).unsqueeze(0);
  EXPECT_EQ(model.loss({ids, {}, {}}, learn).count, 2);
  EXPECT_EQ(model.loss({ids, {}, {}}, at::zeros({1, 6})).sum.item<float>(), 0.f);
}

TEST(Model, GivesTheSameGradientsWithCheckpointing) {
  for (const double dropout : {0.0, 0.5}) {
    std::vector<std::vector<Tensor>> gradients;
    for (const bool checkpointing : {false, true}) {
      Model model = small_model({}, quant::Format{});
      model.attach("a", random_adapter(model.architecture(), 3, 9, dropout), true);
      model.set_checkpointing(checkpointing);
      model.set_training(true);
      model.set_dropout_seed(4);
      model.loss({random_ids(2, 12), {}, {}}, {}).sum.backward();
      auto& list = gradients.emplace_back();
      for (const auto& [name, tensor] : model.trainable()) list.push_back(tensor.grad());
    }
    ASSERT_EQ(gradients[0].size(), 28u);
    for (std::size_t i = 0; i < gradients[0].size(); ++i) {
      EXPECT_TRUE(gradients[0][i].equal(gradients[1][i])) << i;
    }
  }
}

TEST(Model, HasTheSlopeOfCentralDifferencesInEveryAdapterFactor) {
  Model model = small_model({}, quant::Format{});
  model.attach("a", random_adapter(model.architecture(), 3, 9), true);
  const Input input{random_ids(2, 12), {}, {}};
  const auto loss = [&] { return model.loss(input, {}).sum; };
  for (const auto& [name, tensor] : model.trainable()) {
    SCOPED_TRACE(name);
    expect_slope(tensor, loss, 1e-3, 0.02);
  }
}

TEST(Model, DrawsDropoutFromItsSeedAndOnlyInTraining) {
  Model model = small_model();
  model.attach("a", random_adapter(model.architecture(), 3, 9, 0.5), true);
  const Input input{random_ids(1, 12), {}, {}};
  const double still = loss_of(model, input);
  EXPECT_EQ(loss_of(model, input), still);
  model.set_training(true);
  model.set_dropout_seed(1);
  const double first = loss_of(model, input), second = loss_of(model, input);
  EXPECT_NE(first, second);
  model.set_dropout_seed(1);
  EXPECT_EQ(loss_of(model, input), first);
}

// ----------------------------------------------------------------------------- adapters

TEST(Adapters, AddTheirProductToTheBase) {
  Model model = small_model();
  const auto adapter = random_adapter(model.architecture(), 3, 9);
  Model merged = small_model();
  for (const auto& [name, tensor] : merged.dense_weights()) {
    if (!name.ends_with("_proj.weight")) continue;
    const std::string module = name.substr(0, name.size() - 7);
    Tensor weight = tensor;
    adapter::merge_into({weight.data_ptr<float>(), weight.size(0), weight.size(1)},
                        adapter.modules.at(module), adapter.config.scale_of(module), module);
  }
  const Input input{random_ids(2, 12), {}, {}};
  const double base = loss_of(model, input);
  model.attach("a", adapter, false);
  EXPECT_NEAR(loss_of(model, input), loss_of(merged, input), 1e-3);
  EXPECT_GT(std::abs(loss_of(model, input) - base), 0.1);
}

TEST(Adapters, SwitchByName) {
  Model model = small_model();
  const Input input{random_ids(1, 12), {}, {}};
  const double base = loss_of(model, input);
  model.attach("a", random_adapter(model.architecture(), 3, 1), false);
  const double with_a = loss_of(model, input);
  model.attach("b", random_adapter(model.architecture(), 2, 2), false);
  EXPECT_NE(loss_of(model, input), with_a);
  EXPECT_THAT(model.adapters(), testing::ElementsAre("a", "b"));
  model.activate("a");
  EXPECT_EQ(loss_of(model, input), with_a);
  model.activate("");
  EXPECT_EQ(loss_of(model, input), base);
  EXPECT_THAT(error_of([&] { model.activate("c"); }), HasSubstr("no adapter is attached as 'c'"));
}

TEST(Adapters, ComeOutAsTheyWentIn) {
  Model model = small_model();
  auto adapter = random_adapter(model.architecture(), 3, 1);
  adapter.modules.erase("model.layers.1.mlp.up_proj");
  model.attach("a", adapter, true);
  const auto out = model.extract("a");
  EXPECT_EQ(out.config.alpha, adapter.config.alpha);
  ASSERT_EQ(out.modules.size(), adapter.modules.size());
  for (const auto& [module, factors] : adapter.modules) {
    const auto& found = out.modules.at(module);
    EXPECT_TRUE(
        std::equal(factors.a.values().begin(), factors.a.values().end(), found.a.values().begin()));
    EXPECT_TRUE(
        std::equal(factors.b.values().begin(), factors.b.values().end(), found.b.values().begin()));
  }
}

TEST(Adapters, TrainOnlyWhereAsked) {
  Model model = small_model();
  model.attach("still", random_adapter(model.architecture(), 3, 1), false);
  EXPECT_TRUE(model.trainable().empty());
  model.attach("a", random_adapter(model.architecture(), 3, 2), true);
  const auto trainable = model.trainable();
  ASSERT_EQ(trainable.size(), 28u);
  EXPECT_EQ(trainable[0].first, "model.layers.0.self_attn.q_proj.lora_A.a");
  model.loss({random_ids(1, 6), {}, {}}, {}).sum.backward();
  for (const auto& [name, tensor] : trainable) EXPECT_TRUE(tensor.grad().defined()) << name;
}

TEST(Adapters, ForAnotherModelAreRefusedByModule) {
  Model model = small_model();
  auto adapter = random_adapter(model.architecture(), 3, 1);
  adapter.modules["model.layers.7.mlp.up_proj"] = {Matrix(3, 32), Matrix(48, 3)};
  EXPECT_THAT(error_of([&] { model.attach("a", adapter, false); }),
              HasSubstr("model.layers.7.mlp.up_proj: "));
  adapter = random_adapter(model.architecture(), 3, 1);
  adapter.modules["model.layers.0.mlp.up_proj"] = {Matrix(3, 33), Matrix(48, 3)};
  EXPECT_THAT(error_of([&] { model.attach("a", adapter, false); }),
              HasSubstr("model.layers.0.mlp.up_proj: expected adapter factors for a weight of "
                        "[48, 32], found A [3, 33] and B [48, 3]"));
  EXPECT_TRUE(model.adapters().empty());
}

// -------------------------------------------------------------------------------- cache

TEST(Cache, GivesWhatTheWholeTextGives) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Model model = small_model({.dtype = type}, quant::Format{});
    const Tensor ids = random_ids(2, 10);
    const Tensor whole = model.hidden({ids, {}, {}});
    auto cache = model.make_cache(2, 10);
    model.hidden({ids.narrow(1, 0, 6), {}, {}}, &cache);
    const Tensor middle = model.hidden({ids.narrow(1, 6, 3), {}, {}}, &cache);
    const Tensor last = model.hidden({ids.narrow(1, 9, 1), {}, {}}, &cache);
    EXPECT_EQ(cache.length(), 10);
    const double tolerance = type == at::kFloat ? 2e-3 : 0.1;
    EXPECT_LE(distance(middle, whole.narrow(1, 6, 3)), tolerance);
    EXPECT_LE(distance(last, whole.narrow(1, 9, 1)), tolerance);
  }
}

TEST(Cache, GoesBack) {
  Model model = small_model();
  const Tensor ids = random_ids(1, 8);
  auto cache = model.make_cache(1, 8);
  model.hidden({ids.narrow(1, 0, 5), {}, {}}, &cache);
  const Tensor first = model.hidden({ids.narrow(1, 5, 3), {}, {}}, &cache);
  cache.truncate(5);
  EXPECT_TRUE(model.hidden({ids.narrow(1, 5, 3), {}, {}}, &cache).equal(first));
  EXPECT_THAT(error_of([&] { cache.truncate(9); }), HasSubstr("expected a length from 0 to 8"));
}

TEST(Cache, KeepsTheRowsThatAreSelected) {
  Model model = small_model();
  const Tensor ids = random_ids(3, 7);
  auto cache = model.make_cache(3, 8);
  model.hidden({ids, {}, {}}, &cache);
  cache.select_rows({2, 0});
  const Tensor next = random_ids(2, 1, 4);
  const Tensor out = model.hidden({next, {}, {}}, &cache);
  const Tensor rows = at::stack({ids[2], ids[0]});
  const Tensor whole = model.hidden({at::cat({rows, next}, 1), {}, {}});
  EXPECT_LE(distance(out.select(1, 0), whole.select(1, 7)), 1e-4);
}

TEST(Cache, RefusesMoreThanItHolds) {
  Model model = small_model();
  auto cache = model.make_cache(1, 4);
  EXPECT_THAT(error_of([&] {
                model.hidden({random_ids(1, 5), {}, {}}, &cache);
              }),
              HasSubstr("expected at most 4 more positions"));
  EXPECT_THAT(error_of([&] {
                model.hidden({random_ids(2, 1), {}, {}}, &cache);
              }),
              HasSubstr("expected the cache's 1 rows, found 2"));
}

TEST(Model, RefusesIdsOutsideTheVocabulary) {
  Model model = small_model();
  EXPECT_THAT(error_of([&] {
                model.hidden({at::full({1, 2}, 64, at::kLong), {}, {}});
              }),
              HasSubstr("ids: expected ids below the vocabulary's size of 64, found 64"));
  EXPECT_THAT(error_of([&] {
                model.hidden({at::full({1, 2}, -1, at::kLong), {}, {}});
              }),
              HasSubstr("found -1"));
  EXPECT_THAT(error_of([&] {
                model.hidden({at::ones({1, 2}), {}, {}});
              }),
              HasSubstr("ids: expected int64"));
}

}  // namespace
}  // namespace qloft::model
