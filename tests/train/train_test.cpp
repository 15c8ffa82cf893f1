#include "qloft/train.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "progress.h"
#include "qloft/core/error.h"
#include "qloft/core/random.h"
#include "temporary_folder.h"
#include "toy.h"

namespace qloft::train {
namespace {

using test::range;
using test::TemporaryFolder;

constexpr int kExamples = 24;

struct Listener : Progress {
  void warn(std::string_view message) override { warnings.emplace_back(message); }
  void update(std::uint64_t, std::string_view note) override { last_note = note; }
  std::vector<std::string> warnings;
  std::string last_note;
};

// The adapter that a toy model trains, if any.
model::AdapterId adapter_of(const model::Model& model) {
  return model.adapters().empty() ? model::kNoAdapter : model.find_adapter("default");
}

enum class Method { lora, full_f32, full_bf16 };

model::Model toy_model(Method method) {
  model::LoadOptions load;
  load.train_weights = method != Method::lora;
  load.dtype = method == Method::full_bf16 ? at::kBFloat16 : at::kFloat;
  const auto layout = test::toy_layout();
  model::Model model = model::Model::random(layout, load, 1);
  if (method == Method::lora) {
    adapter::Adapter adapter;
    adapter.config.rank = 4;
    adapter.config.alpha = 8;
    adapter.config.dropout = 0.1;
    adapter.config.target_modules = {"q_proj", "down_proj"};
    Random random(2);
    for (const architecture::ParameterId id : architecture::linear_layers(layout)) {
      const architecture::Parameter& layer = layout.parameter(id);
      const std::string module = layer.module();
      if (!module.ends_with("q_proj") && !module.ends_with("down_proj")) continue;
      adapter::Factors factors{Matrix(4, layer.columns()), Matrix(layer.rows(), 4)};
      random.fill_normal(factors.a.values(), 0, 0.1f);
      adapter.modules[module] = factors;
    }
    model.attach("default", adapter, /*train=*/true);
  }
  return model;
}

Options toy_options(const std::filesystem::path& folder) {
  Options options;
  options.learning_rate = 1e-2;
  options.batch = 4;
  options.length = 32;
  options.max_steps = 10;
  options.seed = 3;
  options.folder = folder;
  return options;
}

std::vector<at::Tensor> weights_of(const model::Model& model) {
  std::vector<at::Tensor> weights;
  for (const auto& [name, tensor] : model.trainable()) weights.push_back(tensor.detach().clone());
  return weights;
}

void expect_same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << i;
}

Examples examples_of(const data::DataSet& data, const std::vector<std::int64_t>& indices) {
  Progress silent;
  return read_examples(data, indices, silent);
}

std::vector<io::Json> metrics_of(const std::filesystem::path& folder) {
  std::vector<io::Json> metrics;
  std::istringstream lines(read_file(folder / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    metrics.push_back(io::Json::parse(line));
    metrics.back().erase("seconds");
    metrics.back().erase("tokens_per_second");
  }
  return metrics;
}

TEST(Train, TheLossFallsOnAToySet) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  model::Model model = toy_model(Method::full_f32);
  Options options = toy_options(folder.path());
  options.max_steps = 60;
  Progress silent;
  const Summary summary = train(model, adapter_of(model), examples_of(data, range(0, kExamples)),
                                {}, options, nullptr, silent);
  EXPECT_EQ(summary.steps, 60);
  EXPECT_GT(summary.first_loss, 2.5);
  EXPECT_LT(summary.last_loss, 0.5 * summary.first_loss);
}

TEST(Train, AnAdaptersBGoesAtItsOwnRate) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), 8);
  Options options = toy_options(folder.path());
  options.loraplus_lr_ratio = 1e-6;
  Progress silent;
  model::Model model = toy_model(Method::lora);
  const std::vector<at::Tensor> before = weights_of(model);
  train(model, adapter_of(model), examples_of(data, range(0, 8)), {}, options, nullptr, silent);
  std::size_t i = 0;
  for (const auto& [name, tensor] : model.trainable()) {
    const double moved = (tensor.detach() - before[i++]).abs().max().item<double>();
    const bool is_b = name.find(".lora_B.") != std::string::npos;
    EXPECT_TRUE(is_b ? moved > 0 && moved < 1e-6 : moved > 1e-4) << name << ": " << moved;
  }
}

struct Case {
  std::string name;
  Method method;
  data::Batching batching;
  std::int64_t accumulate;
  bool validation;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class Resume : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    , Resume,
    ::testing::Values(Case{"LoraWithDropout", Method::lora, data::Batching::padded, 1, true},
                      Case{"LoraPacked", Method::lora, data::Batching::packed, 2, false},
                      Case{"FullBf16", Method::full_bf16, data::Batching::padded, 2, true}),
    [](const auto& test) { return test.param.name; });

TEST_P(Resume, EqualsAnUninterruptedRunBitForBit) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  const auto validation =
      GetParam().validation ? std::optional(examples_of(data, range(20, kExamples))) : std::nullopt;
  const auto options_in = [&](const char* name) {
    Options options = toy_options(folder / name);
    options.batching = GetParam().batching;
    options.accumulate = GetParam().accumulate;
    options.save_every = 3;
    options.evaluate_every = 2;
    std::filesystem::create_directory(options.folder);
    return options;
  };
  const auto run = [&](model::Model& model, const Options& options, Progress& progress) {
    return train(model, adapter_of(model), examples_of(data, range(0, 20)), validation, options,
                 nullptr, progress);
  };
  Progress silent;
  const Options whole = options_in("whole");
  model::Model uninterrupted = toy_model(GetParam().method);
  const Summary expected = run(uninterrupted, whole, silent);

  Options broken = options_in("broken");
  for (const std::uint64_t stop : {4u, 7u}) {
    model::Model model = toy_model(GetParam().method);
    test::StopIn progress("train", stop);
    EXPECT_THROW(run(model, broken, progress), Interrupted);
    broken.resume = true;
  }
  model::Model resumed = toy_model(GetParam().method);
  const Summary summary = run(resumed, broken, silent);

  expect_same_bits(weights_of(uninterrupted), weights_of(resumed));
  EXPECT_EQ(summary.first_loss, expected.first_loss);
  EXPECT_EQ(summary.last_loss, expected.last_loss);
  EXPECT_EQ(summary.tokens, expected.tokens);
  EXPECT_EQ(summary.best_validation_loss, expected.best_validation_loss);
  EXPECT_EQ(metrics_of(whole.folder), metrics_of(broken.folder));
}

TEST(Train, AKilledRunGoesOnFromItsLastSave) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.save_every = 4;
  struct Kill {};
  struct KillAt7 : Progress {
    void update(std::uint64_t done, std::string_view note) override {
      if (done == 7 && note.starts_with("loss")) throw Kill();
    }
  } kill;
  model::Model killed = toy_model(Method::lora);
  EXPECT_THROW(train(killed, adapter_of(killed), examples_of(data, range(0, kExamples)), {},
                     options, nullptr, kill),
               Kill);
  ASSERT_EQ(metrics_of(folder.path()).size(), 7u);

  options.resume = true;
  Progress silent;
  model::Model resumed = toy_model(Method::lora);
  train(resumed, adapter_of(resumed), examples_of(data, range(0, kExamples)), {}, options, nullptr,
        silent);
  const auto metrics = metrics_of(folder.path());
  ASSERT_EQ(metrics.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(metrics[i]["step"], i + 1);

  const TemporaryFolder other;
  options.resume = false;
  options.folder = other.path();
  model::Model whole = toy_model(Method::lora);
  train(whole, adapter_of(whole), examples_of(data, range(0, kExamples)), {}, options, nullptr,
        silent);
  expect_same_bits(weights_of(whole), weights_of(resumed));
}

// The field that the refusal of a changed resumed run names.
std::string refused_field(const TemporaryFolder& folder, const std::vector<std::int64_t>& examples,
                          Method method, const Options& options) {
  const auto data = test::toy_data(folder.path(), kExamples);
  model::Model model = toy_model(method);
  Progress silent;
  try {
    train(model, adapter_of(model), examples_of(data, examples), {}, options, nullptr, silent);
  } catch (const InputError& error) {
    return error.location().field;
  }
  return "accepted";
}

TEST(Train, AStateOfAnotherRunIsRefused) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.max_steps = 6;
  options.save_every = 2;
  model::Model model = toy_model(Method::lora);
  test::StopIn progress("train", 4);
  EXPECT_THROW(train(model, adapter_of(model), examples_of(data, range(0, 20)), {}, options,
                     nullptr, progress),
               Interrupted);
  options.resume = true;
  const auto changed = [&](auto&& change) {
    Options other = options;
    change(other);
    return refused_field(folder, range(0, 20), Method::lora, other);
  };
  EXPECT_EQ(changed([](Options& o) { o.learning_rate = 1; }), "learning_rate");
  EXPECT_EQ(changed([](Options& o) { o.batch = 2; }), "batch");
  EXPECT_EQ(changed([](Options& o) { o.seed = 4; }), "seed");
  EXPECT_EQ(changed([](Options& o) { o.setup = "other"; }), "setup");
  EXPECT_EQ(changed([](Options& o) { o.max_steps = 7; }), "steps");
  EXPECT_EQ(changed([](Options& o) { o.max_steps = 3; }), "step");
  EXPECT_EQ(refused_field(folder, range(0, 19), Method::lora, options), "data");
  EXPECT_EQ(refused_field(folder, range(0, 20), Method::full_f32, options), "model");
}

TEST(Train, AConstantRateCanBeResumedWithMoreSteps) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.schedule = Schedule::constant;
  options.warmup = 2;
  Progress silent;
  model::Model whole = toy_model(Method::lora);
  train(whole, adapter_of(whole), examples_of(data, range(0, kExamples)), {}, options, nullptr,
        silent);
  options.max_steps = 5;
  model::Model first = toy_model(Method::lora);
  train(first, adapter_of(first), examples_of(data, range(0, kExamples)), {}, options, nullptr,
        silent);
  options.max_steps = 10;
  options.resume = true;
  model::Model second = toy_model(Method::lora);
  EXPECT_EQ(train(second, adapter_of(second), examples_of(data, range(0, kExamples)), {}, options,
                  nullptr, silent)
                .steps,
            10);
  expect_same_bits(weights_of(whole), weights_of(second));
}

TEST(Train, ResumingWithoutAStateIsRefused) {
  const TemporaryFolder folder;
  Options options = toy_options(folder.path());
  options.resume = true;
  EXPECT_EQ(refused_field(folder, range(0, kExamples), Method::lora, options), "");
}

TEST(Train, TheCutIntoMicroBatchesDoesNotChangeTheLoss) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), 4);
  Options options = toy_options(folder.path());
  options.max_steps = 3;
  options.warmup = 0;
  Progress silent;
  std::vector<double> losses;
  for (const std::int64_t accumulate : {1, 2, 4}) {
    options.accumulate = accumulate;
    options.batch = 4 / accumulate;
    model::Model model = toy_model(Method::full_f32);
    losses.push_back(train(model, adapter_of(model), examples_of(data, range(0, 4)), {}, options,
                           nullptr, silent)
                         .last_loss);
  }
  EXPECT_NEAR(losses[1], losses[0], 1e-3);
  EXPECT_NEAR(losses[2], losses[0], 1e-3);
}

TEST(Train, PackedAndPaddedRowsGiveTheSameLoss) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), 8);
  Options options = toy_options(folder.path());
  options.max_steps = 1;
  options.batch = 8;
  Progress silent;
  std::vector<double> losses;
  for (const auto batching : {data::Batching::padded, data::Batching::packed}) {
    options.batching = batching;
    options.length = 64;
    model::Model model = toy_model(Method::full_f32);
    losses.push_back(train(model, adapter_of(model), examples_of(data, range(0, 8)), {}, options,
                           nullptr, silent)
                         .first_loss);
  }
  EXPECT_NEAR(losses[1], losses[0], 1e-4);
}

TEST(Train, ALossThatIsNotANumberNamesTheStepAndTheLastSave) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.save_every = 2;
  model::Model model = toy_model(Method::full_f32);
  const Save spoil = [&](std::int64_t) {
    at::NoGradGuard no_grad;
    model.trainable().front().second.fill_(std::numeric_limits<float>::quiet_NaN());
  };
  Progress silent;
  try {
    train(model, adapter_of(model), examples_of(data, range(0, kExamples)), {}, options, spoil,
          silent);
    FAIL();
  } catch (const ComputationError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("step 3"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("last good save is of step 2"));
  }
}

TEST(Train, StopsEarlyWhereTheValidationLossNoLongerFalls) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.learning_rate = 0;
  options.evaluate_every = 1;
  options.patience = 2;
  std::vector<std::int64_t> saves;
  const Save save = [&](std::int64_t step) { saves.push_back(step); };
  model::Model model = toy_model(Method::full_f32);
  Progress silent;
  const Summary summary = train(model, adapter_of(model), examples_of(data, range(0, 20)),
                                examples_of(data, range(20, 24)), options, save, silent);
  EXPECT_TRUE(summary.stopped_early);
  EXPECT_EQ(summary.steps, 3);
  EXPECT_EQ(summary.best_step, 1);
  EXPECT_THAT(saves, ::testing::ElementsAre(1));
}

TEST(Train, SavesEverySoManyStepsAndAtTheEnd) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.save_every = 4;
  std::vector<std::int64_t> saves;
  const Save save = [&](std::int64_t step) { saves.push_back(step); };
  model::Model model = toy_model(Method::lora);
  Progress silent;
  train(model, adapter_of(model), examples_of(data, range(0, kExamples)), {}, options, save,
        silent);
  EXPECT_THAT(saves, ::testing::ElementsAre(4, 8, 10));
}

TEST(Train, EvaluatesAtTheEndOfEachEpochByDefault) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  Options options = toy_options(folder.path());
  options.max_steps = 0;
  options.epochs = 2.5;  // 5 steps each
  model::Model model = toy_model(Method::lora);
  Progress silent;
  train(model, adapter_of(model), examples_of(data, range(0, 20)), examples_of(data, range(20, 24)),
        options, nullptr, silent);
  std::vector<std::int64_t> evaluated;
  for (const auto& line : metrics_of(folder.path())) {
    if (line.contains("validation_loss")) evaluated.push_back(line["step"]);
  }
  EXPECT_THAT(evaluated, ::testing::ElementsAre(5, 10, 13));
}

TEST(Train, SaysHowManyExamplesWereTruncated) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples, 12);
  Options options = toy_options(folder.path());
  model::Model model = toy_model(Method::lora);
  Listener listener;
  const Summary summary = train(model, adapter_of(model), examples_of(data, range(0, kExamples)),
                                {}, options, nullptr, listener);
  EXPECT_GT(summary.truncated_examples, 0);
  ASSERT_EQ(listener.warnings.size(), 1u);
  EXPECT_THAT(
      listener.warnings[0],
      ::testing::StartsWith(std::to_string(summary.truncated_examples) + " of 24 examples"));
  EXPECT_THAT(listener.last_note, ::testing::MatchesRegex("loss [0-9.]+, [0-9]+ tokens/s"));
}

TEST(Train, RefusesToTrainOnNothing) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples, 1);
  model::Model model = toy_model(Method::lora);
  Progress silent;
  const Options options = toy_options(folder.path());
  EXPECT_THROW(examples_of(data, {}), InputError);
  EXPECT_THROW(examples_of(data, range(0, 4)), InputError);
}

TEST(ValidationLoss, DoesNotDependOnTheBatch) {
  const TemporaryFolder folder;
  const auto data = test::toy_data(folder.path(), kExamples);
  model::Model model = toy_model(Method::lora);
  const double alone =
      validation_loss(model, adapter_of(model), examples_of(data, range(0, kExamples)), 1);
  EXPECT_NEAR(alone,
              validation_loss(model, adapter_of(model), examples_of(data, range(0, kExamples)), 7),
              1e-5);
  EXPECT_NEAR(alone, std::log(28.0), 1.0);
}

}  // namespace
}  // namespace qloft::train
