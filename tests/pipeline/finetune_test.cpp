#include "qloft/pipeline/finetune.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../train/toy.h"
#include "progress.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/model.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/quantized.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using test::StopIn;

// A folder with config.json and a tokenizer, a model trained from it, and texts.
class Finetune : public ::testing::Test {
 protected:
  static constexpr int kExamples = 24;

  void SetUp() override {
    fs::create_directory(folder_ / "seed");
    io::write_json(folder_ / "seed/config.json", test::toy_config());
    test::write_toy_tokenizer(folder_ / "seed");
    test::write_toy_texts(folder_ / "data.jsonl", kExamples);
  }

  FinetuneOptions options(const std::string& model, const std::string& output) const {
    FinetuneOptions options;
    options.model = (folder_ / model).string();
    options.data = {folder_ / "data.jsonl"};
    options.output = folder_ / output;
    options.train.learning_rate = 1e-2;
    options.train.max_steps = 8;
    options.train.length = 32;
    return options;
  }
  FinetuneOptions from_random(const std::string& output) const {
    FinetuneOptions o = options("seed", output);
    o.method = "full";
    o.from_random = true;
    return o;
  }
  FinetuneOptions lora(const std::string& output) const {
    FinetuneOptions o = options("base", output);
    o.rank = 4;
    return o;
  }
  void make_base() { finetune(from_random("base"), silent_); }

  // The field, or file name, that the refusal names.
  static std::string refused(const FinetuneOptions& options) {
    Progress silent;
    try {
      finetune(options, silent);
    } catch (const InputError& error) {
      const ErrorLocation& at = error.location();
      return at.field.empty() ? at.file.filename().string() : at.field;
    }
    return "accepted";
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Finetune, FullFromRandomWeightsWritesAPlainModelFolder) {
  FinetuneOptions o = from_random("base");
  o.train.max_steps = 40;
  o.save_dtype = "bf16";
  const FinetuneReport report = finetune(o, silent_);
  EXPECT_LT(report.summary.last_loss, 0.8 * report.summary.first_loss);
  const checkpoint::Checkpoint written(folder_ / "base");
  EXPECT_EQ(written.info("model.embed_tokens.weight").type, ElementType::bf16);
  EXPECT_EQ(written.config()["torch_dtype"], "bfloat16");
  model::Model::load(quantized::ModelFiles(folder_ / "base"), {}, silent_);
  for (const char* file : {"tokenizer.json", "metrics.jsonl", "training/training_state.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "base" / file)) << file;
  }
  EXPECT_FALSE(fs::exists(folder_ / "base.partial"));
}

TEST_F(Finetune, LoraWritesAnAdapterThatLoadsAgain) {
  make_base();
  FinetuneOptions o = lora("tuned");
  o.dropout = 0.1;
  o.rslora = true;
  o.target_modules = {"q_proj", "up_proj"};
  const FinetuneReport report = finetune(o, silent_);
  const adapter::Adapter written = adapter::load(folder_ / "tuned");
  EXPECT_EQ(written.config.rank, 4);
  EXPECT_TRUE(written.config.rslora);
  EXPECT_EQ(written.config.dropout, 0.1);
  EXPECT_EQ(written.config.base_model, fs::canonical(folder_ / "base").string());
  EXPECT_EQ(written.modules.size(), 4u);
  EXPECT_EQ(report.trained_parameters, 2 * (4 * (32 + 32) + 4 * (32 + 48)));
  auto model = model::Model::load(quantized::ModelFiles(folder_ / "base"), {}, silent_);
  model.attach("tuned", written, false);
}

TEST_F(Finetune, TrainsAdaptersOfTheEmbeddingAndTheOutputMatrix) {
  make_base();
  FinetuneOptions o = lora("a");
  o.target_modules = {"embed_tokens", "lm_head"};
  const FinetuneReport report = finetune(o, silent_);
  EXPECT_LT(report.summary.last_loss, report.summary.first_loss);
  const quantized::ModelFiles files(folder_ / "base");
  const auto written = adapter::load(folder_ / "a", files.layout());
  ASSERT_EQ(written.modules.size(), 2u);
  const adapter::Factors& embedding = written.modules.at("model.embed_tokens");
  EXPECT_EQ(embedding.b.rows(), files.layout().vocabulary_size);
  EXPECT_TRUE(std::ranges::any_of(embedding.b.values(), [](float x) { return x != 0; }));
}

TEST_F(Finetune, AnInterruptedRunResumesToTheSameFile) {
  make_base();
  finetune(lora("whole"), silent_);
  FinetuneOptions o = lora("broken");
  StopIn progress("train", 3);
  EXPECT_THROW(finetune(o, progress), Interrupted);
  EXPECT_FALSE(fs::exists(folder_ / "broken"));
  EXPECT_EQ(refused(o), "broken.partial");
  o.train.resume = true;
  finetune(o, silent_);
  EXPECT_EQ(read_file(folder_ / "whole/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "broken.partial"));
}

TEST_F(Finetune, ARunThatIsStoppedInTrainingOrWhileItsAdapterIsRoundedGoesOn) {
  make_base();
  FinetuneOptions o = lora("whole");
  o.save_dtype = "f8";
  finetune(o, silent_);
  for (const char* stage : {"train", "Gram matrices"}) {
    o.output = folder_ / "broken";
    test::stop_and_go_on(o, stage, [](auto& run, auto& progress) { finetune(run, progress); });
    EXPECT_EQ(read_file(folder_ / "whole/adapter_model.safetensors"),
              read_file(folder_ / "broken/adapter_model.safetensors"));
    fs::remove_all(o.output);
  }
}

TEST_F(Finetune, AFreshAdapterOfSmallStepsIsKeptInF8) {
  make_base();
  FinetuneOptions o = lora("exact");
  o.train.learning_rate = 1e-5;  // B is far below what f8 tells from zero
  finetune(o, silent_);
  o.output = folder_ / "rounded";
  o.save_dtype = "f8";
  finetune(o, silent_);
  const adapter::Adapter exact = adapter::load(folder_ / "exact");
  const adapter::Adapter rounded = adapter::load(folder_ / "rounded");
  EXPECT_LT(rounded.config.alpha, exact.config.alpha);
  for (const auto& [module, factors] : exact.modules) {
    Matrix product(factors.b.rows(), factors.a.columns());
    adapter::merge_into(product.view(), factors, exact.config.scale_of(module), module);
    double all = 0, lost = 0;
    for (const float value : product.values()) all += value * value;
    adapter::merge_into(product.view(), rounded.modules.at(module),
                        -rounded.config.scale_of(module), module);
    for (const float value : product.values()) lost += value * value;
    EXPECT_LT(std::sqrt(lost), 0.1 * std::sqrt(all)) << module;
  }
}

TEST_F(Finetune, WhatIsTakenUpIsStoredAsItIsAskedLast) {
  make_base();
  FinetuneOptions o = lora("tuned");
  o.validation = folder_ / "data.jsonl";
  o.train.schedule = train::Schedule::constant;
  o.train.learning_rate = 3;  // after a first step of nothing none is better
  o.train.warmup = 1;
  o.train.clip = 0;
  o.train.evaluate_every = 1;
  o.train.max_steps = 2;
  o.save_dtype = "f8";
  finetune(o, silent_);
  o.train.resume = true;
  o.train.max_steps = 3;
  o.save_dtype = "f32";
  finetune(o, silent_);
  const io::SafetensorsFile file(folder_ / "tuned/adapter_model.safetensors");
  EXPECT_EQ(file.tensors().front().type, ElementType::f32);
}

TEST_F(Finetune, ValuesThatTheTypeHoldsStayAsTheyAre) {
  make_base();
  FinetuneOptions o = lora("before");
  o.save_dtype = "f8";
  finetune(o, silent_);
  o.adapter = folder_ / "before";
  o.rank.reset();
  o.output = folder_ / "after";
  o.train.learning_rate = 0;
  finetune(o, silent_);
  const adapter::Adapter before = adapter::load(folder_ / "before");
  const adapter::Adapter after = adapter::load(folder_ / "after");
  for (const auto& [module, factors] : before.modules) {
    EXPECT_THAT(after.modules.at(module).a.values(),
                ::testing::ElementsAreArray(factors.a.values()));
    EXPECT_THAT(after.modules.at(module).b.values(),
                ::testing::ElementsAreArray(factors.b.values()));
  }
}

TEST_F(Finetune, FactorsInF8AnswerMoreAsTheyWereThanTheirNearestValues) {
  make_base();
  FinetuneOptions o = lora("exact");
  o.rank = 8;
  finetune(o, silent_);
  o.output = folder_ / "rounded";
  o.save_dtype = "f8";
  finetune(o, silent_);
  const adapter::Adapter exact = adapter::load(folder_ / "exact");
  adapter::save(exact, folder_ / "exact", ElementType::f8);
  auto model = model::Model::load(quantized::ModelFiles(folder_ / "base"), {}, silent_);
  const at::Tensor letters = at::arange(static_cast<std::int64_t>(test::kLetters.size()));
  const auto states = [&](const adapter::Adapter& adapter) {
    const at::NoGradGuard no_grad;
    return model.hidden(
        {.ids = letters.unsqueeze(0), .adapters = {model.attach("it", adapter, false)}});
  };
  const at::Tensor as_trained = states(exact);
  const auto error = [&](const char* folder) {
    return (states(adapter::load(folder_ / folder)) - as_trained).norm().item<double>();
  };
  EXPECT_GT(error("rounded"), 0.0);
  EXPECT_LT(error("rounded"), 0.8 * error("exact"));
}

TEST_F(Finetune, ResumesOnTheSamePackedWeightsAlone) {
  make_base();
  QuantizeOptions low;
  low.model = (folder_ / "base").string();
  low.output = folder_ / "low";
  low.overwrite = true;
  low.method = "qlora";
  low.rank = 4;
  low.block = 16;
  quantize(low, silent_);
  FinetuneOptions o = options("low", "tuned");
  StopIn progress("train", 3);
  EXPECT_THROW(finetune(o, progress), Interrupted);
  o.train.resume = true;
  low.bits = 2;
  quantize(low, silent_);
  EXPECT_EQ(refused(o), "model");
  // Written anew, at another hour: the contents are what counts.
  low.bits = 4;
  quantize(low, silent_);
  EXPECT_EQ(refused(o), "accepted");
}

TEST_F(Finetune, AResumedRunKeepsTheAdaptersScaleAndItsKindOfProducts) {
  make_base();
  FinetuneOptions o = lora("tuned");
  StopIn progress("train", 3);
  EXPECT_THROW(finetune(o, progress), Interrupted);
  o.train.resume = true;
  FinetuneOptions scaled = o, rounded = o;
  scaled.alpha = 99;
  EXPECT_EQ(refused(scaled), "setup");
  rounded.matmul = "int8";
  EXPECT_EQ(refused(rounded), "setup");
}

TEST_F(Finetune, TrainsWithProductsIn8BitsAlmostAsInFloat) {
  make_base();
  const double exact = finetune(lora("exact"), silent_).summary.last_loss;
  FinetuneOptions o = lora("int8");
  o.matmul = "int8";
  const double rounded = finetune(o, silent_).summary.last_loss;
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.01 * exact);
}

TEST_F(Finetune, FullTrainingMultipliesInFloat) {
  FinetuneOptions o = from_random("out");
  o.matmul = "int8";
  EXPECT_EQ(refused(o), "matmul");
}

TEST_F(Finetune, ContinuesAnAdapter) {
  make_base();
  finetune(lora("first"), silent_);
  FinetuneOptions o = options("base", "second");
  o.adapter = folder_ / "first";
  o.train.learning_rate = 0;
  finetune(o, silent_);
  EXPECT_EQ(read_file(folder_ / "first/adapter_model.safetensors"),
            read_file(folder_ / "second/adapter_model.safetensors"));
  o.rank = 8;
  o.output = folder_ / "third";
  EXPECT_EQ(refused(o), "rank");
}

TEST_F(Finetune, NamesWhatIsSoHugeThatItLeavesNoLoss) {
  make_base();
  finetune(lora("first"), silent_);
  adapter::Adapter factor = adapter::load(folder_ / "first"), alpha = factor;
  for (float& value : factor.modules.begin()->second.b.values()) value = 3e38F;
  alpha.config.alpha = 3e38;
  const struct {
    const adapter::Adapter& adapter;
    const char *file, *field;
  } cases[] = {{factor, "adapter_model.safetensors", "lora_B"},
               {alpha, "adapter_config.json", "lora_alpha"}};
  fs::create_directory(folder_ / "huge");
  FinetuneOptions o = options("base", "second");
  o.adapter = folder_ / "huge";
  for (const auto& c : cases) {
    adapter::save(c.adapter, folder_ / "huge");
    try {
      finetune(o, silent_);
      ADD_FAILURE() << "expected a ComputationError";
    } catch (const ComputationError& error) {
      EXPECT_EQ(error.location().file, folder_ / "huge" / c.file);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(c.field));
      EXPECT_THAT(error.what(), ::testing::HasSubstr("holds values of up to 3e+38"));
      EXPECT_THAT(error.what(), ::testing::HasSubstr("the loss is not a finite number"));
    }
    EXPECT_FALSE(fs::exists(folder_ / "second.partial"));
  }
}

TEST_F(Finetune, KeepsTheWeightsOfTheBestValidationLoss) {
  make_base();
  FinetuneOptions o = lora("tuned");
  o.validation = test::write_toy_texts(folder_ / "validation.jsonl", 4);
  o.train.schedule = train::Schedule::constant;
  o.train.learning_rate = 3;  // far too high: every step makes it worse
  o.train.warmup = 1;         // but the first does nothing
  o.train.evaluate_every = 1;
  o.train.clip = 0;
  o.overwrite = true;
  for (const char* type : {"f32", "f8"}) {
    o.save_dtype = type;
    const FinetuneReport report = finetune(o, silent_);
    EXPECT_EQ(report.validation_examples, 4);
    EXPECT_EQ(report.summary.best_step, 1);
    const adapter::Adapter written = adapter::load(folder_ / "tuned");
    for (const auto& [name, factors] : written.modules) {
      EXPECT_THAT(factors.b.values(), ::testing::Each(0.f)) << name;
    }
  }
}

TEST_F(Finetune, AShareOfTheDataBecomesTheValidationSet) {
  FinetuneOptions o = from_random("base");
  o.validation_share = 0.25;
  const FinetuneReport report = finetune(o, silent_);
  EXPECT_EQ(report.train_examples, 18);
  EXPECT_EQ(report.validation_examples, 6);
  EXPECT_TRUE(report.summary.best_validation_loss);
}

TEST_F(Finetune, OptionsThatDoNotFitAreRefusedByName) {
  make_base();
  const auto changed = [&](auto&& change) {
    FinetuneOptions o = lora("out");
    change(o);
    return refused(o);
  };
  EXPECT_EQ(changed([](auto& o) { o.method = "magic"; }), "method");
  EXPECT_EQ(changed([](auto& o) { o.method = "full"; }), "method");  // with a rank
  const auto faster_in_full = [](auto& o) {
    o.method = "full";
    o.rank.reset();
    o.train.loraplus_lr_ratio = 4;
  };
  EXPECT_EQ(changed(faster_in_full), "loraplus_lr_ratio");
  EXPECT_EQ(changed([](auto& o) { o.data.clear(); }), "data");
  EXPECT_EQ(changed([](auto& o) { o.rank = 0; }), "rank");
  EXPECT_EQ(changed([](auto& o) { o.rank = 17; }), "rank");  // k_proj is 16 x 32
  EXPECT_EQ(changed([](auto& o) { o.target_modules = {"qproj"}; }), "target_modules");
  EXPECT_EQ(changed([](auto& o) { o.dropout = 1; }), "dropout");
  EXPECT_EQ(changed([](auto& o) { o.dtype = "int8"; }), "dtype");
  EXPECT_EQ(changed([](auto& o) { o.matmul = "fp8"; }), "matmul");
  EXPECT_EQ(changed([](auto& o) { o.from_random = true; }), "from_random");
  EXPECT_EQ(changed([](auto& o) { o.output = o.model; }), "base");
  EXPECT_EQ(changed([](auto& o) { o.train.resume = true; }), "out");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(Finetune, AnAdapterOfAnotherBaseIsRefused) {
  make_base();
  finetune(lora("tuned"), silent_);
  FinetuneOptions other = from_random("other");
  other.train.seed = 2;
  finetune(other, silent_);
  FinetuneOptions o = options("other", "out");
  o.adapter = folder_ / "tuned";
  EXPECT_EQ(refused(o), "base_model_name_or_path");
}

TEST_F(Finetune, AnAdapterThatDoesNotFitIsRefusedWhateverItsBase) {
  make_base();
  finetune(lora("tuned"), silent_);
  io::Json config = test::toy_config();
  config["intermediate_size"] = 40;
  fs::create_directory(folder_ / "wide_seed");
  io::write_json(folder_ / "wide_seed/config.json", config);
  test::write_toy_tokenizer(folder_ / "wide_seed");
  FinetuneOptions wide = from_random("wide");
  wide.model = (folder_ / "wide_seed").string();
  finetune(wide, silent_);
  FinetuneOptions o = options("wide", "out");
  o.adapter = folder_ / "tuned";
  o.any_base = true;
  EXPECT_THAT(refused(o), ::testing::HasSubstr("mlp."));
}

TEST_F(Finetune, AnOutputFolderThatIsNotEmptyIsKeptUnlessOverwritten) {
  make_base();
  fs::create_directory(folder_ / "tuned");
  write_file(folder_ / "tuned/notes.txt", "mine");
  FinetuneOptions o = lora("tuned");
  EXPECT_EQ(refused(o), "tuned");
  EXPECT_EQ(read_file(folder_ / "tuned/notes.txt"), "mine");
  o.overwrite = true;
  finetune(o, silent_);
  EXPECT_FALSE(fs::exists(folder_ / "tuned/notes.txt"));
}

TEST_F(Finetune, FullTrainingOfAQuantizedFolderIsRefused) {
  make_base();
  io::Json config = io::read_json(folder_ / "base/config.json");
  config["quantization_config"] = quantized::to_json({});
  io::write_json(folder_ / "base/config.json", config);
  FinetuneOptions o = options("base", "out");
  o.method = "full";
  EXPECT_EQ(refused(o), "method");
}

}  // namespace
}  // namespace qloft::pipeline
