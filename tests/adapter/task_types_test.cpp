// Which adapters of PEFT a model takes by their task_type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "refusal.h"

namespace qloft::adapter {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kGoldenPairs = std::filesystem::path(QLOFT_TEST_DATA) / "golden";

// What comes of the golden BART's adapter in a BART of that class.
std::string taken_by(const std::string& architecture) {
  const auto file = kGoldenPairs / "seq2seq/bart/config.json";
  io::Json config = io::read_json(file);
  config["architectures"] = {architecture};
  const auto layout = architecture::read_layout(config, file);
  return test::refusal([&] { load(kGoldenPairs / "seq2seq/bart/adapter", layout); });
}

TEST(TaskTypes, AnEncoderDecoderWithAnEncodersHeadTakesTheAdapterOfTheWholeModel) {
  EXPECT_EQ(taken_by("BartForConditionalGeneration"), "accepted");
  EXPECT_EQ(taken_by("BartForSequenceClassification"), "accepted");
}

TEST(TaskTypes, AnEncoderTakesNone) {
  const auto file = kGoldenPairs / "encoders/t5_states/config.json";
  const auto layout = architecture::read_layout(io::read_json(file), file);
  EXPECT_THAT(test::refusal([&] { load(kGoldenPairs / "seq2seq/t5/adapter", layout); }),
              HasSubstr("task_type: expected the task of an encoder, found \"SEQ_2_SEQ_LM\""));
}

}  // namespace
}  // namespace qloft::adapter
