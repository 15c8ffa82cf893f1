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

double loss_of(Model& model, const Input& input) {
  const at::NoGradGuard no_grad;
  return summed_loss(model, input).item<double>();
}

TEST(Model, IsTheSameForTheSameSeed) {
  const Input input{random_ids(1, 8), {}, {}};
  Model a = small_model(), b = small_model();
  EXPECT_EQ(loss_of(a, input), loss_of(b, input));
  Model c = Model::random(small_layout(), {}, 6);
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

TEST(Model, KeepsItsOutputMatrixInEightBitsUntilTheStoredOneIsWantedAgain) {
  for (const bool tied : {false, true}) {
    io::Json config = small_config();
    config["tie_word_embeddings"] = tied;
    const auto layout = architecture::read_layout(config, "config.json");
    Model model = Model::random(layout, {}, 5);
    const Input input{random_ids(2, 16), {}, {}};
    const double stored = loss_of(model, input);
    const Tensor embedded = model.embed(input);
    model.set_output_type(OutputType::int8);
    EXPECT_EQ(model.output_type(), OutputType::int8);
    EXPECT_NE(loss_of(model, input), stored);
    EXPECT_NEAR(loss_of(model, input), stored, 2e-3 * stored);
    EXPECT_TRUE(model.embed(input).equal(embedded)) << "the embedding stays";
    model.set_output_type(OutputType::stored);
    EXPECT_EQ(loss_of(model, input), stored);
  }
}

TEST(Model, LeavesAnOutputMatrixThatIsPackedOrTrained) {
  Model packed = Model::random(small_layout(), {.output = OutputType::int8}, 5, quant::Format{},
                               /*output_matrix=*/true);
  EXPECT_EQ(packed.output_type(), OutputType::stored);
  Model trained =
      Model::random(small_layout(), {.output = OutputType::int8, .train_weights = true}, 5);
  EXPECT_EQ(trained.output_type(), OutputType::stored);
}

TEST(Model, GivesTheSameGradientsWithCheckpointing) {
  for (const double dropout : {0.0, 0.5}) {
    std::vector<std::vector<Tensor>> gradients;
    for (const bool checkpointing : {false, true}) {
      Model model = small_model({}, quant::Format{});
      const AdapterId id = model.attach("a", random_adapter(model.layout(), 3, 9, dropout), true);
      model.set_checkpointing(checkpointing);
      model.set_training(true);
      model.set_dropout_seed(4);
      summed_loss(model, {.ids = random_ids(2, 12), .adapters = {id}}).backward();
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
  const AdapterId id = model.attach("a", random_adapter(model.layout(), 3, 9), true);
  const Input input{.ids = random_ids(2, 12), .adapters = {id}};
  const auto loss = [&] { return summed_loss(model, input); };
  for (const auto& [name, tensor] : model.trainable()) {
    SCOPED_TRACE(name);
    expect_slope(tensor, loss, 1e-3, 0.02);
  }
}

TEST(Model, DrawsDropoutFromItsSeedAndOnlyInTraining) {
  Model model = small_model();
  const AdapterId id = model.attach("a", random_adapter(model.layout(), 3, 9, 0.5), true);
  const Input input{.ids = random_ids(1, 12), .adapters = {id}};
  const double still = loss_of(model, input);
  EXPECT_EQ(loss_of(model, input), still);
  model.set_training(true);
  model.set_dropout_seed(1);
  const double first = loss_of(model, input), second = loss_of(model, input);
  EXPECT_NE(first, second);
  model.set_dropout_seed(1);
  EXPECT_EQ(loss_of(model, input), first);
}

TEST(Model, GivesIn8BitsTheLossOfFloatToAHundredthAndItsGradientsToATenth) {
  const architecture::Layout layout = small_layout();
  std::vector<std::vector<Tensor>> gradients;
  std::vector<double> losses;
  for (const bool int8 : {false, true}) {
    const LoadOptions options{.int8 = int8};
    Model model = Model::random(layout, options, 3, quant::Format{}, /*output_matrix=*/true);
    const AdapterId id = model.attach("a", random_adapter(layout, 4, 5), /*train=*/true);
    const Tensor loss = summed_loss(model, {.ids = random_ids(2, 20), .adapters = {id}});
    losses.push_back(loss.item<double>() / 38);
    loss.backward();
    gradients.emplace_back();
    for (const auto& [name, tensor] : model.trainable()) gradients.back().push_back(tensor.grad());
  }
  EXPECT_NEAR(losses[1], losses[0], 0.01 * losses[0]);
  EXPECT_NE(losses[1], losses[0]);
  for (std::size_t i = 0; i < gradients[0].size(); ++i) {
    const double size = gradients[0][i].norm().item<double>();
    EXPECT_LE((gradients[1][i] - gradients[0][i]).norm().item<double>(), 0.1 * size) << i;
  }
}

// ----------------------------------------------------------------------------- adapters

TEST(Adapters, AddTheirProductToTheBase) {
  Model model = small_model();
  const auto adapter = random_adapter(model.layout(), 3, 9);
  Model merged = small_model();
  for (const auto& [name, tensor] : merged.dense_weights()) {
    if (!name.ends_with("_proj.weight")) continue;
    const std::string module = name.substr(0, name.size() - 7);
    Tensor weight = tensor;
    adapter::merge_into({weight.data_ptr<float>(), weight.size(0), weight.size(1)},
                        adapter.modules.at(module), adapter.config.scale_of(module), module);
  }
  Input input{random_ids(2, 12)};
  const double base = loss_of(model, input), expected = loss_of(merged, input);
  input.adapters = {model.attach("a", adapter, false)};
  EXPECT_NEAR(loss_of(model, input), expected, 1e-3);
  EXPECT_GT(std::abs(loss_of(model, input) - base), 0.1);
}

TEST(Adapters, AreChosenByThePass) {
  Model model = small_model();
  Input input{random_ids(1, 12)};
  const double base = loss_of(model, input);
  const AdapterId a = model.attach("a", random_adapter(model.layout(), 3, 1), false);
  const AdapterId b = model.attach("b", random_adapter(model.layout(), 2, 2), false);
  EXPECT_EQ(loss_of(model, input), base);
  input.adapters = {a};
  const double with_a = loss_of(model, input);
  input.adapters = {b};
  EXPECT_NE(loss_of(model, input), with_a);
  EXPECT_THAT(model.adapters(), testing::ElementsAre("a", "b"));
  EXPECT_EQ(model.find_adapter("b"), b);
  EXPECT_THAT(error_of([&] { model.find_adapter("c"); }),
              HasSubstr("no adapter is attached as 'c'"));
  input.adapters = {7};
  EXPECT_THAT(error_of([&] { loss_of(model, input); }), HasSubstr("no adapter 7 is attached"));
  input.adapters = {a, b};
  EXPECT_THAT(error_of([&] { loss_of(model, input); }),
              HasSubstr("expected one adapter for each of 1 rows, found 2"));
}

TEST(Adapters, LeaveTheirPlaceToTheNextWhenTheyAreDetached) {
  Model model = small_model();
  const AdapterId a = model.attach("a", random_adapter(model.layout(), 3, 1), false);
  model.detach("a");
  EXPECT_TRUE(model.adapters().empty());
  const Input input{.ids = random_ids(1, 4), .adapters = {a}};
  EXPECT_THAT(error_of([&] { loss_of(model, input); }), HasSubstr("no adapter 0 is attached"));
  EXPECT_EQ(model.attach("b", random_adapter(model.layout(), 2, 2), false), a);
}

TEST(Adapters, OfEachRowGiveWhatTheyGiveAlone) {
  Model model = small_model({}, quant::Format{});
  auto first = random_adapter(model.layout(), 3, 1), second = random_adapter(model.layout(), 5, 2);
  second.modules.erase("model.layers.0.mlp.up_proj");
  second.modules["lm_head"] = {Matrix(5, 32), Matrix(64, 5)};
  Random(3).fill_normal(second.modules["lm_head"].a.values(), 0.f, 0.2f);
  Random(4).fill_normal(second.modules["lm_head"].b.values(), 0.f, 0.2f);
  const AdapterId a = model.attach("a", first, true), b = model.attach("b", second, true);
  const std::vector<AdapterId> chosen = {b, kNoAdapter, a, b, a};
  const Tensor ids = random_ids(5, 11);
  const Input together{.ids = ids, .adapters = chosen};

  const Tensor hidden = model.hidden(together);
  const Tensor logits = model.logits(hidden, chosen);
  double sum = 0;
  std::vector<Tensor> gradients;
  for (std::int64_t row = 0; row < 5; ++row) {
    const Input alone{.ids = ids.narrow(0, row, 1),
                      .adapters = {chosen[static_cast<std::size_t>(row)]}};
    const Tensor states = model.hidden(alone);
    EXPECT_LE(distance(hidden[row], states[0]), 1e-4) << row;
    EXPECT_LE(distance(logits[row], model.logits(states, alone.adapters)[0]), 1e-3) << row;
    const Tensor loss = summed_loss(model, alone);
    if (loss.requires_grad()) loss.backward();
    sum += loss.item<double>();
  }
  for (const auto& [name, tensor] : model.trainable()) {
    gradients.push_back(tensor.grad().clone());
    tensor.mutable_grad().zero_();
  }
  const Tensor loss = summed_loss(model, together);
  EXPECT_NEAR(loss.item<double>(), sum, 1e-2);
  loss.backward();
  std::size_t i = 0;
  for (const auto& [name, tensor] : model.trainable()) {
    EXPECT_LE(distance(tensor.grad(), gradients[i++]), 1e-3) << name;
  }
}

TEST(Adapters, OfTheOutputMatrixTrain) {
  Model model = small_model();
  adapter::Adapter adapter;
  adapter.config.rank = 3;
  adapter.modules["lm_head"] = {Matrix(3, 32), Matrix(64, 3)};
  Random(3).fill_normal(adapter.modules["lm_head"].a.values(), 0.f, 0.2f);
  Random(4).fill_normal(adapter.modules["lm_head"].b.values(), 0.f, 0.2f);
  const AdapterId id = model.attach("a", adapter, true);
  const Input input{.ids = random_ids(2, 9), .adapters = {id}};
  const auto loss = [&] { return summed_loss(model, input); };
  for (const auto& [name, tensor] : model.trainable()) {
    SCOPED_TRACE(name);
    expect_slope(tensor, loss, 1e-3, 0.02);
  }
}

TEST(Adapters, ComeOutAsTheyWentIn) {
  Model model = small_model();
  auto adapter = random_adapter(model.layout(), 3, 1);
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

TEST(Adapters, AreKeptAsAskedUnlessTheyAreTrained) {
  const Input plain{random_ids(2, 12)};
  const auto adapter = random_adapter(small_layout(), 3, 9);
  const auto loss_with = [&](StoredType type, bool train) {
    Model model = small_model({.factors = type});
    Input input = plain;
    input.adapters = {model.attach("a", adapter, train)};
    return loss_of(model, input);
  };
  const double exact = loss_with(StoredType::f32, false);
  EXPECT_EQ(loss_with(StoredType::int8, true), exact);
  for (const StoredType type : {StoredType::bf16, StoredType::int8}) {
    EXPECT_NE(loss_with(type, false), exact);
    EXPECT_NEAR(loss_with(type, false), exact, 0.01 * exact);
  }
}

TEST(Adapters, KeptIn8BitsComeOutWithTheirShapes) {
  Model model = small_model({.factors = StoredType::int8});
  const auto adapter = random_adapter(model.layout(), 3, 1);
  model.attach("a", adapter, false);
  const auto out = model.extract("a");
  for (const auto& [module, factors] : adapter.modules) {
    const auto& found = out.modules.at(module);
    EXPECT_EQ(found.a.rows(), factors.a.rows()) << module;
    EXPECT_EQ(found.b.columns(), factors.b.columns()) << module;
  }
}

TEST(Adapters, TrainOnlyWhereAsked) {
  Model model = small_model();
  model.attach("still", random_adapter(model.layout(), 3, 1), false);
  EXPECT_TRUE(model.trainable().empty());
  const AdapterId id = model.attach("a", random_adapter(model.layout(), 3, 2), true);
  const auto trainable = model.trainable();
  ASSERT_EQ(trainable.size(), 28u);
  EXPECT_EQ(trainable[0].first, "model.layers.0.self_attn.q_proj.lora_A.a");
  summed_loss(model, {.ids = random_ids(1, 6), .adapters = {id}}).backward();
  for (const auto& [name, tensor] : trainable) EXPECT_TRUE(tensor.grad().defined()) << name;
}

TEST(Adapters, ForAnotherModelAreRefusedByModule) {
  Model model = small_model();
  auto adapter = random_adapter(model.layout(), 3, 1);
  adapter.modules["model.layers.7.mlp.up_proj"] = {Matrix(3, 32), Matrix(48, 3)};
  EXPECT_THAT(error_of([&] { model.attach("a", adapter, false); }),
              HasSubstr("model.layers.7.mlp.up_proj: "));
  adapter = random_adapter(model.layout(), 3, 1);
  adapter.modules["model.layers.0.mlp.up_proj"] = {Matrix(3, 33), Matrix(48, 3)};
  EXPECT_THAT(error_of([&] { model.attach("a", adapter, false); }),
              HasSubstr("model.layers.0.mlp.up_proj: expected adapter factors for a weight of "
                        "[48, 32], found A [3, 33] and B [48, 3]"));
  EXPECT_TRUE(model.adapters().empty());
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
