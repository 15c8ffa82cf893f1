// Logits processors and filters of draws against transformers': tests/golden/make_beams.py.
#include "../../src/generate/logits_processors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "../../src/generate/sampling.h"
#include "file_settings.h"
#include "qloft/core/error.h"

namespace qloft::generate {
namespace {

using tokenizer::TokenId;
using Ids = std::vector<TokenId>;

TEST(LogitsProcessors, AndFiltersMakeTransformersScores) {
  const auto golden =
      io::read_json(std::filesystem::path(QLOFT_TEST_DATA) / "golden/logits_processors.json");
  const auto eos = golden["eos"].get<Ids>();
  const std::int64_t new_tokens = golden["max_new_tokens"];
  ASSERT_GT(golden["cases"].size(), 400u);
  for (const io::Json& one : golden["cases"]) {
    SCOPED_TRACE(one.dump().substr(0, 120));
    const io::Json& input = golden["inputs"][one["input"].get<std::size_t>()];
    const auto ids = input["ids"].get<Ids>();
    const std::int64_t prompt = input["prompt"], keep = one["keep"];
    io::Json members = one["settings"];
    members["do_sample"] = keep > 0;
    const Options options = options_of(from_file(members));
    auto scores = input["scores"].get<std::vector<float>>();
    const std::span<const TokenId> source(ids.data(), static_cast<std::size_t>(prompt));
    process(options.processors, {ids, prompt, prompt + new_tokens, eos, source}, scores);
    if (keep > 0) filter(scores, options.sampling, keep);
    if (options.processors.renormalize_logits) renormalize(scores);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const io::Json& expected = one["scores"][i];
      if (expected.is_null()) {
        EXPECT_EQ(scores[i], kNever) << i;
      } else {
        EXPECT_FLOAT_EQ(scores[i] + 100, expected.get<float>() + 100) << i;
      }
    }
  }
}

TEST(LogitsProcessors, PenalizeEachSeenIdOnce) {
  std::vector<float> logits = {2, -2, 3, 1};
  penalize_repetition(logits, Ids{0, 1, 0, 99}, 2.0);
  EXPECT_EQ(logits, (std::vector<float>{1, -4, 3, 1}));
}

TEST(LogitsProcessors, ThatForbidEveryTokenEndADraw) {
  std::vector<float> logits(4, kNever);
  Random random(0);
  EXPECT_THROW(sample(logits, {.temperature = 1}, random), ComputationError);
}

TEST(LogitsProcessors, RefuseWhatIsOutOfRange) {
  for (const LogitsProcessors& wrong :
       {LogitsProcessors{.encoder_repetition_penalty = 0},
        LogitsProcessors{.repetition_penalty = 0}, LogitsProcessors{.no_repeat_ngram_size = -1},
        LogitsProcessors{.bad_words_ids = {{}}}, LogitsProcessors{.min_length = -1},
        LogitsProcessors{.min_new_tokens = -1}, LogitsProcessors{.forced_bos_token_id = -1},
        LogitsProcessors{.suppress_tokens = {-1}}}) {
    EXPECT_THROW(wrong.validate(), InputError);
  }
}

}  // namespace
}  // namespace qloft::generate
