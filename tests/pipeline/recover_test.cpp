#include "qloft/pipeline/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../train/toy.h"
#include "progress.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/random.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/quantized.h"
#include "qloft/quantized/model_files.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using test::Said;
using test::StopIn;

// A toy model that learned its texts, and the same in 2 bits.
class Recover : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_ / "seed");
    io::write_json(folder_ / "seed/config.json", test::toy_config());
    test::write_toy_tokenizer(folder_ / "seed");
    test::write_toy_texts(folder_ / "data.jsonl", 24);
    std::string text;
    for (int i = 0; i < 600; ++i) text += test::kLetters[i % test::kLetters.size()];
    write_file(folder_ / "text.txt", text);
    FinetuneOptions full;
    full.model = (folder_ / "seed").string();
    full.data = {folder_ / "data.jsonl"};
    full.output = folder_ / "full";
    full.method = "full";
    full.from_random = true;
    full.train.learning_rate = 1e-2;
    full.train.max_steps = 40;
    full.train.length = 32;
    finetune(full, silent_);
    quantize(to_two_bits("low"), silent_);
  }

  QuantizeOptions to_two_bits(const std::string& output) const {
    QuantizeOptions low;
    low.model = (folder_ / "full").string();
    low.output = folder_ / output;
    low.method = "loftq";
    low.bits = 2;
    low.rank = 2;
    low.block = 16;
    return low;
  }

  RecoverOptions options(const std::string& output) const {
    RecoverOptions o;
    o.model = (folder_ / "low").string();
    o.teacher = (folder_ / "full").string();
    o.data = folder_ / "text.txt";
    o.samples = 12;
    o.output = folder_ / output;
    o.teacher_logits = 8;
    o.train.learning_rate = 1e-2;
    o.train.max_steps = 8;
    o.train.length = 24;
    return o;
  }

  // 600 letters of which no twelve stand there twice.
  fs::path text_without_repeats() {
    Random random(0);
    std::string text;
    for (int i = 0; i < 600; ++i) text += test::kLetters[random.below(test::kLetters.size())];
    write_file(folder_ / "drawn.txt", text);
    return folder_ / "drawn.txt";
  }

  double loss_of(const std::string& model) {
    EvaluateOptions o;
    o.model.model = (folder_ / model).string();
    o.task = "loss";
    o.data = folder_ / "data.jsonl";
    return evaluate(o, silent_).scores.find("loss").value();
  }

  std::string refused(const RecoverOptions& o) { return test::refusal(recover, o, folder_.path()); }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Recover, BringsAQuantizedModelBackToItsTeacher) {
  RecoverOptions o = options("back");
  o.train.max_steps = 60;
  const RecoverReport report = recover(o, silent_);
  EXPECT_EQ(report.sequences, 12);
  EXPECT_EQ(report.summary.steps, 60);
  EXPECT_LT(report.summary.last_loss, 0.5 * report.summary.first_loss);
  EXPECT_LT(loss_of("back"), loss_of("low"));  // of texts that are cut otherwise
}

TEST_F(Recover, BringsHiddenStatesNearToTheTeachers) {
  RecoverOptions o = options("back");
  o.loss = RecoveryLoss::hidden;
  o.train.max_steps = 60;
  const RecoverReport report = recover(o, silent_);
  EXPECT_LT(report.summary.last_loss, 0.7 * report.summary.first_loss);
  EXPECT_LT(loss_of("back"), loss_of("low"));
}

TEST_F(Recover, BringsTheStatesAfterEachBlockNearToTheTeachers) {
  RecoverOptions o = options("back");
  o.loss = RecoveryLoss::blocks;
  o.train.max_steps = 60;
  o.samples = 12;
  const RecoverReport report = recover(o, silent_);
  EXPECT_EQ(report.summary.steps, 2 * 60);
  EXPECT_LT(report.summary.last_loss, 0.7 * report.summary.first_loss);
  EXPECT_LT(loss_of("back"), loss_of("low"));
  EXPECT_TRUE(fs::exists(folder_ / "back/blocks/1/metrics.jsonl"));
  EXPECT_FALSE(fs::exists(folder_ / "back/training"));
}

TEST_F(Recover, TakesRowsOfDifferentLengthsThroughABlock) {
  RecoverOptions o = options("back");
  o.loss = RecoveryLoss::blocks;
  o.data = folder_ / "data.jsonl";
  o.train.length = 32;
  o.train.max_steps = 30;
  const RecoverReport report = recover(o, silent_);
  EXPECT_LT(report.summary.last_loss, 0.7 * report.summary.first_loss);
}

TEST_F(Recover, ABlockThatWasInterruptedResumesToTheSameFile) {
  RecoverOptions o = options("whole");
  o.loss = RecoveryLoss::blocks;
  recover(o, silent_);
  o.output = folder_ / "broken";
  for (const char* stage :
       {"block 1 of 2: train", "block 1 of 2: student", "block 2 of 2: train"}) {
    StopIn stopping(stage, 3);
    EXPECT_THROW(recover(o, stopping), Interrupted);
    EXPECT_FALSE(fs::exists(folder_ / "broken"));
    o.train.resume = true;
  }
  recover(o, silent_);
  EXPECT_EQ(read_file(folder_ / "whole/adapter/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter/adapter_model.safetensors"));
}

TEST_F(Recover, WritesAQuantizedFolderWithTheSamePackedWeights) {
  recover(options("back"), silent_);
  const quantized::ModelFiles before(folder_ / "low"), after(folder_ / "back");
  ASSERT_TRUE(after.quantization());
  EXPECT_EQ(read_file(folder_ / "low/model.safetensors"),
            read_file(folder_ / "back/model.safetensors"));
  EXPECT_EQ(after.source().config()["quantization_config"]["recovered"]["steps"], 8);
  const auto adapter = adapter::load(folder_ / "back/adapter");
  EXPECT_EQ(adapter.config.base_model, (folder_ / "back").string());
  for (const char* file : {"tokenizer.json", "metrics.jsonl", "quantization_report.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "back" / file)) << file;
  }
  for (const char* gone : {"back.partial", "back.work", "back/training"}) {
    EXPECT_FALSE(fs::exists(folder_ / gone)) << gone;
  }
}

TEST_F(Recover, TrainsNormsWhereItIsAsked) {
  RecoverOptions o = options("back");
  o.train_parts = {"norms"};
  o.train.max_steps = 60;
  const RecoverReport report = recover(o, silent_);
  EXPECT_EQ(report.trained_parameters, 5 * 32);
  EXPECT_LT(report.summary.last_loss, report.summary.first_loss);
  EXPECT_LT(loss_of("back"), loss_of("low"));
  const checkpoint::Checkpoint before(folder_ / "low"), after(folder_ / "back");
  EXPECT_EQ(after.info("model.norm.weight").type, ElementType::f32);
  EXPECT_NE(after.read_matrix("model.norm.weight")(0, 0),
            before.read_matrix("model.norm.weight")(0, 0));
  const std::string packed = "model.layers.0.self_attn.q_proj.weight.codes";
  EXPECT_TRUE(std::ranges::equal(after.bytes(packed), before.bytes(packed)));
  const auto own = adapter::load(folder_ / "low/adapter"),
             its = adapter::load(folder_ / "back/adapter");
  EXPECT_TRUE(std::ranges::equal(own.modules.begin()->second.a.values(),
                                 its.modules.begin()->second.a.values()));
  o.train_parts = {"biases"};
  o.output = folder_ / "none";
  EXPECT_THAT(refused(o), testing::HasSubstr("train: the model has no biases to train"));
  o.train_parts = {"norm"};
  EXPECT_THAT(refused(o), testing::HasSubstr("train: expected adapter, norms, biases or scales"));
}

TEST_F(Recover, TrainsTheScalesOfBlocksAndKeepsTheirCodes) {
  RecoverOptions o = options("back");
  o.train_parts = {"scales"};
  o.train.max_steps = 60;
  const RecoverReport report = recover(o, silent_);
  EXPECT_LT(report.summary.last_loss, 0.9 * report.summary.first_loss);
  EXPECT_LT(loss_of("back"), loss_of("low"));
  const checkpoint::Checkpoint before(folder_ / "low"), after(folder_ / "back");
  const std::string matrix = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_TRUE(std::ranges::equal(after.bytes(matrix + ".codes"), before.bytes(matrix + ".codes")));
  EXPECT_FALSE(
      std::ranges::equal(after.bytes(matrix + ".scales"), before.bytes(matrix + ".scales")));
}

TEST_F(Recover, TrainedScalesResumeToTheSameFile) {
  for (const RecoveryLoss loss : {RecoveryLoss::kl, RecoveryLoss::blocks}) {
    RecoverOptions o = options("whole");
    o.overwrite = true;
    o.loss = loss;
    o.train_parts = {"adapter", "scales"};
    o.train.save_every = 2;
    recover(o, silent_);
    o.output = folder_ / "broken";
    StopIn stopping(loss == RecoveryLoss::kl ? "train" : "block 2 of 2: train", 3);
    EXPECT_THROW(recover(o, stopping), Interrupted);
    o.train.resume = true;
    recover(o, silent_);
    EXPECT_EQ(read_file(folder_ / "whole/model.safetensors"),
              read_file(folder_ / "broken/model.safetensors"));
    fs::remove_all(folder_ / "broken");
  }
}

TEST_F(Recover, AFolderThatWasRecoveredIsRecoveredAgain) {
  recover(options("back"), silent_);
  RecoverOptions o = options("further");
  o.model = (folder_ / "back").string();
  recover(o, silent_);
  EXPECT_EQ(io::read_json(folder_ / "further/adapter/adapter_config.json")["r"], 2);
}

TEST_F(Recover, KeepsTheTypeThatTheAdapterIsStoredIn) {
  for (const std::string type : {"nf8", "f8"}) {
    QuantizeOptions low = to_two_bits("low-" + type);
    low.adapter_dtype = type;
    quantize(low, silent_);
    RecoverOptions o = options("back-" + type);
    o.model = low.output.string();
    recover(o, silent_);
    EXPECT_EQ(fs::file_size(low.output / "adapter/adapter_model.safetensors"),
              fs::file_size(o.output / "adapter/adapter_model.safetensors"));
  }
}

TEST_F(Recover, ARunThatIsStoppedWhileItsAdapterIsRoundedGoesOn) {
  RecoverOptions o = options("whole");
  o.save_dtype = "f8";
  recover(o, silent_);
  o.output = folder_ / "broken";
  test::stop_and_go_on(o, "Gram matrices",
                       [](auto& run, auto& progress) { recover(run, progress); });
  EXPECT_EQ(read_file(folder_ / "whole/adapter/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter/adapter_model.safetensors"));
}

TEST_F(Recover, SaysWhatIsWonOnSequencesThatAreNotLearned) {
  RecoverOptions o = options("back");
  o.data = text_without_repeats();
  o.train.length = 12;
  o.samples = 32;
  Said won;
  const RecoverReport report = recover(o, won);
  EXPECT_EQ(report.sequences, 32);
  EXPECT_EQ(report.held_out, 8);
  EXPECT_LT(*report.held_out_after, *report.held_out_before);
  EXPECT_EQ(won.warnings, "");
  o.output = folder_ / "shaken";
  o.train.learning_rate = 1;
  Said lost;
  const RecoverReport worse = recover(o, lost);
  EXPECT_EQ(worse.held_out_before, report.held_out_before);
  EXPECT_GT(*worse.held_out_after, *worse.held_out_before);
  EXPECT_THAT(lost.warnings, ::testing::HasSubstr("farther from the teacher"));
  EXPECT_THAT(lost.warnings, ::testing::HasSubstr("try recover --lr 2e-01"));
  o.output = folder_ / "still";
  o.train.learning_rate = 0;
  Said none;
  EXPECT_EQ(recover(o, none).held_out_after, report.held_out_before);
  EXPECT_EQ(none.warnings, "");
}

TEST_F(Recover, HoldsOutWhatTheDataHaveBesideWhatIsLearned) {
  RecoverOptions o = options("back");
  o.data = text_without_repeats();
  o.train.length = 12;
  o.samples = 50;  // all that the text has
  EXPECT_EQ(recover(o, silent_).held_out, 0);
  const struct { std::int64_t samples, held_out; } cases[] = {{49, 0}, {46, 4}, {31, 0}};
  o.overwrite = true;
  for (const auto& c : cases) {
    o.samples = c.samples;
    const RecoverReport report = recover(o, silent_);
    EXPECT_EQ(report.sequences, c.samples);
    EXPECT_EQ(report.held_out, c.held_out);
  }
  o.data = folder_ / "text.txt";  // the same letters again and again
  o.samples = 40;
  EXPECT_EQ(recover(o, silent_).held_out, 0);
}

TEST_F(Recover, BeginsWithAFreshAdapterWhereItIsAsked) {
  RecoverOptions o = options("back");
  o.fresh = true;
  o.rank = 3;
  recover(o, silent_);
  EXPECT_EQ(adapter::load(folder_ / "back/adapter").config.rank, 3);
}

TEST_F(Recover, LearnsTheTokensThatRowsLearn) {
  RecoverOptions o = options("back");
  o.data = folder_ / "data.jsonl";
  o.train.batching = data::Batching::packed;
  o.train.length = 32;
  o.train.max_steps = 30;
  const RecoverReport report = recover(o, silent_);
  EXPECT_LT(report.summary.last_loss, 0.7 * report.summary.first_loss);
}

TEST_F(Recover, AnInterruptedRunResumesToTheSameFile) {
  recover(options("whole"), silent_);
  RecoverOptions o = options("broken");
  StopIn stopping("train", 3);
  EXPECT_THROW(recover(o, stopping), Interrupted);
  EXPECT_FALSE(fs::exists(folder_ / "broken"));
  EXPECT_THAT(refused(o), testing::HasSubstr("--resume goes on with it"));
  o.train.resume = true;
  recover(o, silent_);
  EXPECT_EQ(read_file(folder_ / "whole/adapter/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "broken.partial"));
}

TEST_F(Recover, WhatTheTeacherSaidIsKeptWhenItIsStopped) {
  recover(options("whole"), silent_);
  RecoverOptions o = options("broken");
  StopIn stopping("teacher", 5);
  EXPECT_THROW(recover(o, stopping), Interrupted);
  EXPECT_FALSE(fs::exists(folder_ / "broken.partial"));
  EXPECT_TRUE(fs::exists(folder_ / "broken.work"));
  recover(o, silent_);
  EXPECT_EQ(read_file(folder_ / "whole/adapter/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "broken.work"));
}

TEST_F(Recover, ACacheServesManyRunsOfOneTeacher) {
  RecoverOptions o = options("a");
  o.cache = folder_ / "cache";
  EXPECT_GT(recover(o, silent_).teacher_seconds, 0);
  o.output = folder_ / "b";
  o.train.learning_rate = 1e-3;
  EXPECT_EQ(recover(o, silent_).teacher_seconds, 0);
  o.output = folder_ / "c";
  o.teacher_logits = 4;
  EXPECT_GT(recover(o, silent_).teacher_seconds, 0);
}

TEST_F(Recover, RefusesACacheOfOtherWork) {
  RecoverOptions o = options("a");
  o.cache = folder_ / "cache";
  recover(o, silent_);
  const fs::path kept = fs::directory_iterator(o.cache)->path();
  o.teacher_logits = 4;
  o.output = folder_ / "b";
  recover(o, silent_);
  for (const auto& entry : fs::directory_iterator(o.cache)) {
    if (entry.path() != kept) copy_file_whole(entry.path(), kept);
  }
  o.teacher_logits = 8;
  o.output = folder_ / "c";
  EXPECT_THAT(refused(o), testing::HasSubstr("expected the outputs of this teacher"));
}

TEST_F(Recover, RefusesWhatDoesNotFit) {
  const auto with = [&](auto change) {
    RecoverOptions o = options("out");
    change(o);
    return refused(o);
  };
  using testing::HasSubstr;
  EXPECT_THAT(with([&](auto& o) { o.model = o.teacher; }),
              HasSubstr("expected a quantized folder, found a model in full precision"));
  EXPECT_THAT(with([](auto& o) { o.teacher.clear(); }), HasSubstr("teacher: expected"));
  EXPECT_THAT(with([](auto& o) { o.data += ".gone"; }), HasSubstr("found no such file"));
  EXPECT_THAT(with([](auto& o) { o.samples = 0; }), HasSubstr("samples: expected at least 1"));
  EXPECT_THAT(with([](auto& o) { o.teacher_logits = 0; }),
              HasSubstr("teacher_logits: expected at least 1"));
  EXPECT_THAT(with([](auto& o) { o.next_token_weight = 2; }),
              HasSubstr("next_token_weight: expected a number from 0 to 1"));
  EXPECT_THAT(with([](auto& o) {
                o.loss = RecoveryLoss::blocks;
                o.next_token_weight = 0.5;
              }),
              HasSubstr("next_token_weight: a block predicts no tokens"));
  EXPECT_THAT(with([](auto& o) {
                o.loss = RecoveryLoss::blocks;
                o.train.batching = data::Batching::packed;
              }),
              HasSubstr("batching: expected padded"));
  EXPECT_THAT(with([](auto& o) { o.rank = 7; }), HasSubstr("rank: the adapter"));
  EXPECT_THAT(with([](auto& o) { o.train.resume = true; }),
              HasSubstr("there is no interrupted run to resume"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
  EXPECT_FALSE(fs::exists(folder_ / "out.work"));
}

TEST_F(Recover, RefusesATeacherOfOtherShapes) {
  const auto other = [&](const char* field, int value) {
    io::Json config = test::toy_config();
    config[field] = value;
    io::write_json(folder_ / "seed/config.json", config);
    FinetuneOptions full;
    full.model = (folder_ / "seed").string();
    full.data = {folder_ / "data.jsonl"};
    full.output = folder_ / "other";
    full.overwrite = true;
    full.method = "full";
    full.from_random = true;
    full.train.max_steps = 1;
    full.train.length = 32;
    finetune(full, silent_);
    RecoverOptions o = options("out");
    o.teacher = full.output.string();
    return refused(o);
  };
  EXPECT_THAT(
      other("vocab_size", 30),
      testing::HasSubstr("other/config.json: vocab_size: expected 28, that of low, found 30"));
  EXPECT_THAT(other("intermediate_size", 64),
              testing::HasSubstr("mlp.gate_proj.weight: expected the shape [48, 32], that of low"));
}

TEST_F(Recover, QuantizeEndsWithItWhereItIsAsked) {
  QuantizeOptions o;
  o.model = (folder_ / "full").string();
  o.output = folder_ / "whole";
  o.data = folder_ / "text.txt";
  o.bits = 2;
  o.rank = 2;
  o.recover = 6;
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_LT(report.last_loss.value(), report.first_loss.value());
  EXPECT_EQ(
      io::read_json(folder_ / "whole/config.json")["quantization_config"]["recovered"]["steps"], 6);
  EXPECT_FALSE(fs::exists(folder_ / "whole.work"));

  o.output = folder_ / "broken";
  for (const char* stage : {"teacher", "train"}) {
    StopIn stopping(stage, 2);
    EXPECT_THROW(quantize(o, stopping), Interrupted);
    EXPECT_TRUE(fs::exists(folder_ / "broken.work"));
  }
  EXPECT_TRUE(fs::exists(folder_ / "broken.partial"));
  EXPECT_EQ(quantize(o, silent_).bits_per_weight, report.bits_per_weight);
  EXPECT_EQ(read_file(folder_ / "whole/adapter/adapter_model.safetensors"),
            read_file(folder_ / "broken/adapter/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "broken.work"));
}

TEST_F(Recover, QuantizeRecoversWhatAnyMethodMadeWithoutStatistics) {
  QuantizeOptions o;
  o.model = (folder_ / "full").string();
  o.output = folder_ / "out";
  o.data = folder_ / "text.txt";
  o.method = "loftq";
  o.bits = 2;
  o.rank = 2;
  o.block = 16;
  o.recover = 2;
  EXPECT_TRUE(quantize(o, silent_).recover_seconds.has_value());
  o.data.clear();
  EXPECT_THAT(test::refusal(quantize, o), testing::HasSubstr("recover: expected a text"));
}

TEST_F(Recover, AnOutputFolderThatIsNotEmptyIsKeptUnlessOverwritten) {
  recover(options("out"), silent_);
  RecoverOptions o = options("out");
  EXPECT_THAT(refused(o), testing::HasSubstr("--overwrite replaces it"));
  o.overwrite = true;
  recover(o, silent_);
}

}  // namespace
}  // namespace qloft::pipeline
