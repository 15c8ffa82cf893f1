// Greedy targets of encoder-decoders against transformers: tests/golden/make_seq2seq.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/generate.h"
#include "qloft/generate/settings.h"

namespace qloft::generate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Ids = std::vector<tokenizer::TokenId>;

const fs::path kGoldenFiles = fs::path(QLOFT_TEST_DATA) / "golden";
constexpr std::int64_t kNewTokens = 12;  // of make_seq2seq.py

class Targets : public testing::TestWithParam<std::string> {
 protected:
  static model::Model load(const fs::path& folder) {
    Progress silent;
    auto model = model::Model::load(quantized::ModelFiles(folder), {}, silent);
    model.set_training(false);
    return model;
  }

  static Ids ends_of(const fs::path& file) {
    if (!fs::exists(file)) return {};
    return {io::read_json(file)["eos_token_id"].get<tokenizer::TokenId>()};
  }

  // Without the token that ended them.
  std::vector<Ids> expected_of(const io::Json& json) const {
    std::vector<Ids> out;
    for (const auto& row : json["greedy"]) {
      Ids ids = row.get<Ids>();
      const auto end = std::ranges::find_first_of(ids, eos_);
      ids.erase(end, ids.end());
      out.push_back(std::move(ids));
    }
    return out;
  }

  Request request_of(std::size_t row, model::AdapterId adapter) const {
    Request out;
    out.source = expected_["ids"][row].get<Ids>();
    out.prompt = {target_start(checkpoint::Checkpoint(folder_), model_.layout())};
    out.options = options_of(read_settings(folder_));
    out.options.max_tokens = kNewTokens;
    out.options.adapter = adapter;
    out.options.eos = eos_;
    return out;
  }

  // All sources side by side.
  std::vector<Ids> targets(model::AdapterId adapter) {
    Engine engine(model_, tokenizer_);
    std::vector<SequenceId> sequences;
    for (std::size_t row = 0; row < expected_["ids"].size(); ++row) {
      sequences.push_back(engine.add(request_of(row, adapter)));
    }
    while (engine.running() > 0) engine.step();
    std::vector<Ids> out;
    for (const SequenceId id : sequences) out.push_back(engine.result(id).ids);
    return out;
  }

  const fs::path folder_ = kGoldenFiles / "seq2seq" / GetParam();
  const io::Json expected_ = io::read_json(folder_ / "expected.json");
  tokenizer::Tokenizer tokenizer_ = tokenizer::Tokenizer::load(kGoldenFiles / "tokenizers/gpt2");
  // Not the tokenizer's, which is another model's.
  Ids eos_ = ends_of(folder_ / "generation_config.json");
  model::Model model_ = load(folder_);
};

TEST_P(Targets, AreWhatTransformersGenerates) {
  const auto expected = expected_of(expected_);
  EXPECT_EQ(targets(model::kNoAdapter), expected);
}

TEST_P(Targets, AreWhatPeftGeneratesWithAnAdapter) {
  if (!fs::exists(folder_ / "adapter.json")) return;
  const auto expected = expected_of(io::read_json(folder_ / "adapter.json"));
  const auto id =
      model_.attach("default", adapter::load(folder_ / "adapter", model_.layout()), false);
  EXPECT_EQ(targets(id), expected);
}

TEST_P(Targets, AreOfTheSourceThatASequenceGoesOnWith) {
  const auto expected = expected_of(expected_);
  Engine engine(model_, tokenizer_);
  const SequenceId id = engine.add(request_of(0, model::kNoAdapter));
  while (!engine.finished(id)) engine.step();
  engine.go_on(id, request_of(1, model::kNoAdapter));
  while (!engine.finished(id)) engine.step();
  EXPECT_EQ(engine.result(id).ids, expected[1]);
}

TEST_P(Targets, OfBeamSearchAreThoseOfTransformers) {
  for (std::size_t row = 0; row < expected_["ids"].size(); ++row) {
    const io::Json& expected = expected_["beams"][row];
    Request request = request_of(row, model::kNoAdapter);
    request.options.beams.num_beams = 3;
    request.options.beams.num_return_sequences = 2;
    request.options.processors.no_repeat_ngram_size = 2;
    const auto results = generate_all(model_, tokenizer_, request);
    ASSERT_EQ(results.size(), 2u);
    for (std::size_t i = 0; i < results.size(); ++i) {
      Ids ids = expected["ids"][i].get<Ids>();
      ids.erase(std::ranges::find_first_of(ids, eos_), ids.end());
      EXPECT_EQ(results[i].ids, ids);
      EXPECT_NEAR(*results[i].score, expected["scores"][i].get<double>(), 1e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Targets,
                         testing::Values("bart", "bart_bare", "mbart", "pegasus", "t5", "t5_gated",
                                         "mt5", "mbart50"),
                         [](const auto& test) { return test.param; });

class TargetsInLanguages : public testing::TestWithParam<std::string> {};

TEST_P(TargetsInLanguages, AreWhatTransformersGenerates) {
  const fs::path folder = kGoldenFiles / "seq2seq" / GetParam();
  const io::Json golden = io::read_json(folder / "expected.json")["languages"];
  const auto tokenizer = tokenizer::Tokenizer::load(folder);
  const quantized::ModelFiles files(folder);
  Progress silent;
  auto model = model::Model::load(files, {}, silent);
  for (const auto& row : golden["rows"]) {
    const std::string language = row["target"];
    SCOPED_TRACE(language);
    const TargetStart start = target_start_in(language, files.source(), files.layout(), tokenizer);
    Settings given;
    given.forced_bos_token_id = start.forced_bos_token_id;
    Request request;
    request.source = row["ids"].get<Ids>();
    request.prompt = {start.token};
    request.options = options_of(over(given, read_settings(folder)));
    request.options.max_tokens = kNewTokens;
    request.options.eos = end_tokens(files.source(), tokenizer);
    EXPECT_EQ(generate(model, tokenizer, request).ids, row["made"].get<Ids>());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TargetsInLanguages, testing::Values("mbart", "mbart50"),
                         [](const auto& test) { return test.param; });

std::string refusal_of(const Ids& source, const fs::path& folder) {
  Request request{{2}, {}};
  request.source = source;
  try {
    check_request(request, quantized::ModelFiles(folder).layout());
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Sources, BelongToEncoderDecoders) {
  const fs::path bart = kGoldenFiles / "seq2seq/bart", qwen = kGoldenFiles / "models/qwen2";
  EXPECT_THAT(refusal_of({}, bart), HasSubstr("source: expected at least one token"));
  EXPECT_THAT(refusal_of({5}, qwen),
              HasSubstr("source: expected none: qwen2 is no encoder-decoder"));
  EXPECT_THAT(refusal_of(Ids(33, 5), bart),
              HasSubstr("source: expected at most the model's 32 positions, found 33 tokens"));
  EXPECT_THAT(refusal_of({64}, bart), HasSubstr("token 64 is outside"));
}

}  // namespace
}  // namespace qloft::generate
