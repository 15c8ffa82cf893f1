#include "../../src/train/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::train {
namespace {

TEST(Metrics, WritesALineAStepAndALineAnEvaluation) {
  const test::TemporaryFolder folder;
  Metrics metrics(folder.path(), 0);
  metrics.step({1, 2.5, 1e-3, 0.75, 100, 50, 2});
  metrics.validation(1, "loss", 2.25);
  EXPECT_EQ(read_file(folder / "metrics.jsonl"),
            "{\"step\":1,\"loss\":2.5,\"learning_rate\":0.001,\"gradient_norm\":0.75,"
            "\"tokens\":100,\"tokens_per_second\":50.0,\"seconds\":2.0}\n"
            "{\"step\":1,\"validation_loss\":2.25}\n");
}

TEST(Metrics, ANewRunRemovesWhatAnEarlierOneLeft) {
  const test::TemporaryFolder folder;
  { Metrics(folder.path(), 0).step({1, 1, 1, 1, 1, 1, 1}); }
  { Metrics(folder.path(), 0).step({1, 2, 1, 1, 1, 1, 1}); }
  const std::string text = read_file(folder / "metrics.jsonl");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  int events = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    events += entry.path().filename().string().starts_with(kEventPrefix);
  }
  EXPECT_EQ(events, 1);
}

TEST(Metrics, AResumedRunCutsOffLaterSteps) {
  const test::TemporaryFolder folder;
  {
    Metrics metrics(folder.path(), 0);
    for (std::int64_t step = 1; step <= 5; ++step) metrics.step({step, 1, 1, 1, 1, 1, 1});
  }
  Metrics metrics(folder.path(), 3);
  metrics.step({4, 9, 1, 1, 1, 1, 1});
  std::vector<std::int64_t> steps;
  std::istringstream lines(read_file(folder / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    steps.push_back(io::Json::parse(line)["step"]);
  }
  EXPECT_THAT(steps, ::testing::ElementsAre(1, 2, 3, 4));
}

TEST(Metrics, AreNotWrittenThroughALink) {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("elsewhere", folder / "metrics.jsonl");
  EXPECT_THROW(Metrics(folder.path(), 3), SystemError);
  EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST(Metrics, ABrokenLastLineIsCutOff) {
  const test::TemporaryFolder folder;
  for (const char* tail : {"{\"step\":2", "nonsense\n", "[1]\n", "{\"step\":\"x\"}\n"}) {
    write_file(folder / "metrics.jsonl", std::string("{\"step\":1}\n") + tail);
    truncate_metrics(folder / "metrics.jsonl", 10);
    EXPECT_EQ(read_file(folder / "metrics.jsonl"), "{\"step\":1}\n") << tail;
  }
}

}  // namespace
}  // namespace qloft::train
