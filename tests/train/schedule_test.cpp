#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "qloft/train.h"

namespace qloft::train {
namespace {

TEST(Schedule, GivesTransformersRates) {
  const io::Json golden =
      io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/adamw.json")["schedules"];
  for (const auto& row : golden) {
    Options options;
    options.schedule = *schedule_from_name(row["schedule"].get<std::string>());
    options.warmup = row["warmup"];
    options.learning_rate = row["learning_rate"];
    options.min_learning_rate = row["min_learning_rate"];
    for (std::size_t step = 0; step < row["rates"].size(); ++step) {
      EXPECT_NEAR(learning_rate(options, static_cast<std::int64_t>(step), row["steps"]),
                  row["rates"][step].get<double>(), 1e-12)
          << row["schedule"] << " warm-up " << row["warmup"] << " step " << step;
    }
  }
}

TEST(Schedule, AWarmUpBelowOneIsAShareRoundedUp) {
  Options options;
  options.warmup = 0.03;
  EXPECT_EQ(warmup_steps(options, 100), 3);
  EXPECT_EQ(warmup_steps(options, 101), 4);
  options.warmup = 10;
  EXPECT_EQ(warmup_steps(options, 100), 10);
}

TEST(Schedule, EndsAtTheLeastRateBeyondTheLastStep) {
  Options options;
  options.learning_rate = 1;
  options.warmup = 0;
  for (const Schedule schedule : {Schedule::linear, Schedule::cosine}) {
    options.schedule = schedule;
    options.min_learning_rate = 0.25;
    EXPECT_DOUBLE_EQ(learning_rate(options, 50, 10), 0.25);
  }
}

TEST(Schedule, NamesReadBack) {
  for (const Schedule schedule : {Schedule::constant, Schedule::linear, Schedule::cosine}) {
    EXPECT_EQ(schedule_from_name(name(schedule)), schedule);
  }
  EXPECT_FALSE(schedule_from_name("sawtooth"));
}

TEST(Options, OutOfRangeIsRefusedByName) {
  const auto field_of = [](auto&& change) -> std::string {
    Options options;
    change(options);
    try {
      options.validate();
    } catch (const InputError& error) {
      return error.location().field;
    }
    return {};
  };
  EXPECT_EQ(field_of([](Options&) {}), "");
  EXPECT_EQ(field_of([](Options& o) { o.learning_rate = -1; }), "learning_rate");
  EXPECT_EQ(field_of([](Options& o) { o.warmup = std::nan(""); }), "warmup");
  EXPECT_EQ(field_of([](Options& o) { o.beta2 = 1; }), "beta2");
  EXPECT_EQ(field_of([](Options& o) { o.loraplus_lr_ratio = 0; }), "loraplus_lr_ratio");
  EXPECT_EQ(field_of([](Options& o) { o.epochs = 0; }), "epochs");
  EXPECT_EQ(field_of([](Options& o) { o.batch = 0; }), "batch");
  EXPECT_EQ(field_of([](Options& o) { o.length = 1; }), "length");
  EXPECT_EQ(field_of([](Options& o) { o.patience = -1; }), "patience");
}

}  // namespace
}  // namespace qloft::train
