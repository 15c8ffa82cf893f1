// Beam search and logits processors against transformers' generate: tests/golden/make_beams.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "file_settings.h"
#include "qloft/core/error.h"
#include "qloft/generate.h"
#include "qloft/io.h"
#include "qloft/quantized/model_files.h"

namespace qloft::generate {
namespace {

namespace fs = std::filesystem;
using tokenizer::TokenId;
using Ids = std::vector<TokenId>;

const fs::path kGolden = fs::path(QLOFT_TEST_DATA) / "golden";

Options options_of(const io::Json& one, std::int64_t max_tokens) {
  Options out = options_of(from_file(one["settings"]));
  out.max_tokens = max_tokens;
  out.eos = one["eos"].get<Ids>();
  return out;
}

class Beam : public testing::Test {
 protected:
  static model::Model load(const std::string& name) {
    Progress silent;
    return model::Model::load(quantized::ModelFiles(kGolden / "models" / name), {}, silent);
  }

  static std::vector<Ids> ids_of(const std::vector<Result>& results) {
    std::vector<Ids> out;
    for (const Result& result : results) out.push_back(result.ids);
    return out;
  }

  tokenizer::Tokenizer tokenizer_ = tokenizer::Tokenizer::load(kGolden / "tokenizers/gpt2");
  const io::Json expected_ = io::read_json(kGolden / "beams.json");
};

// All cases of a model in one engine, whose steps take many searches at once.
TEST_F(Beam, SearchGivesTransformersSequencesAndScores) {
  std::map<std::string, std::vector<io::Json>> by_model;
  for (const io::Json& one : expected_["cases"]) by_model[one["model"]].push_back(one);
  ASSERT_EQ(by_model.size(), 3u);
  for (const auto& [name, cases] : by_model) {
    model::Model model = load(name);
    Engine engine(model, tokenizer_);
    std::vector<SequenceId> running;
    for (const io::Json& one : cases) {
      running.push_back(
          engine.add({one["prompt"].get<Ids>(), options_of(one, expected_["max_new_tokens"])}));
    }
    while (engine.running() > 0) engine.step();
    for (std::size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].dump());
      const auto& results = engine.results(running[i]);
      const auto expected = cases[i]["sequences"].get<std::vector<Ids>>();
      ASSERT_EQ(results.size(), expected.size());
      for (std::size_t k = 0; k < expected.size(); ++k) {
        Ids ids = results[k].ids;
        if (results[k].reason == StopReason::eos) ids.push_back(expected[k].back());
        EXPECT_EQ(ids, expected[k]) << "sequence " << k;
        EXPECT_EQ(results[k].score.has_value(), cases[i].contains("scores"));
        if (results[k].score) {
          EXPECT_NEAR(*results[k].score, cases[i]["scores"][k].get<double>(), 2e-4);
        }
      }
    }
  }
}

TEST_F(Beam, SearchGivesTheSameFromCachesOfEveryTypeThatAreForkedOrNot) {
  model::Model model = load("llama_llama3");
  const Request request{{3, 9, 27, 4, 8, 16, 33},
                        {.beams = {.num_beams = 5, .num_return_sequences = 5}, .max_tokens = 12}};
  for (const auto type :
       {model::StoredType::f32, model::StoredType::bf16, model::StoredType::int8}) {
    model.set_cache_type(type);
    for (const Result& result : generate_all(model, tokenizer_, request)) {
      // Greedily scored again from an empty cache: the sum of the chosen log-probabilities.
      Ids ids = request.prompt;
      double sum = 0;
      auto cache = model.make_cache(std::ssize(request.prompt) + 12);
      std::vector<std::int64_t> next(ids.begin(), ids.end());
      for (const TokenId id : result.ids) {
        const auto logits = model.logits(model.extend({{&cache, next}}));
        sum += logits.log_softmax(1)[0][id].item<double>();
        next = {id};
      }
      EXPECT_NEAR(sum / 12, *result.score, 1e-5);
    }
  }
}

TEST_F(Beam, SearchEndsAtAStopStringAndGivesItsTextAtTheEnd) {
  model::Model model = load("llama_llama3");
  Request request{{3, 9, 27}, {.max_tokens = 10}};
  const Result greedy = generate(model, tokenizer_, request);
  // Without a length penalty the likeliest first token alone is best.
  request.options.beams = {.num_beams = 3, .length_penalty = 0};
  request.options.stop = {tokenizer_.decode(Ids{greedy.ids[0]})};
  std::string shown;
  request.sink = [&](std::string_view piece) {
    shown += piece;
    return true;
  };
  const Result stopped = generate(model, tokenizer_, request);
  EXPECT_EQ(stopped.reason, StopReason::stop_string);
  EXPECT_EQ(stopped.ids, Ids{greedy.ids[0]});
  EXPECT_EQ(stopped.text, "");
  request.options.stop = {"no such text"};
  EXPECT_EQ(generate(model, tokenizer_, request).text, shown);
}

TEST_F(Beam, SearchCanBeInterruptedAtEachStep) {
  model::Model model = load("llama_llama3");
  int steps = 0;
  const Result result =
      generate(model, tokenizer_,
               {{3, 9, 27}, {.beams = {.num_beams = 3}, .max_tokens = 10}, [&](std::string_view) {
                  return ++steps < 4;
                }});
  EXPECT_EQ(result.reason, StopReason::interrupted);
  EXPECT_EQ(result.ids.size(), 4u);
}

TEST_F(Beam, SearchDrawsCandidatesByTheSeedWhereThereIsATemperature) {
  model::Model model = load("llama_llama3");
  const auto ids = [&](std::uint64_t seed) {
    return ids_of(generate_all(model, tokenizer_,
                               {{3, 9, 27},
                                {.sampling = {.temperature = 1.0, .seed = seed},
                                 .beams = {.num_beams = 3, .num_return_sequences = 3},
                                 .max_tokens = 10}}));
  };
  EXPECT_EQ(ids(1), ids(1));
  EXPECT_NE(ids(1), ids(2));
}

TEST_F(Beam, SearchIsFollowedByATurnThatGoesOnFromItsText) {
  model::Model model = load("llama_llama3");
  Engine engine(model, tokenizer_);
  const Options options{.beams = {.num_beams = 3}, .max_tokens = 6};
  const SequenceId id = engine.add({{3, 9, 27}, options});
  while (engine.running() > 0) engine.step();
  Ids next = {3, 9, 27};
  for (const TokenId token : engine.result(id).ids) next.push_back(token);
  next.push_back(11);
  engine.go_on(id, {next, options});
  while (engine.running() > 0) engine.step();
  EXPECT_EQ(engine.result(id).ids, generate(model, tokenizer_, {next, options}).ids);
}

TEST(Beams, RefusesWhatIsOutOfRange) {
  for (const Beams& wrong :
       {Beams{.num_beams = 0}, Beams{.num_beams = 2, .length_penalty = HUGE_VAL},
        Beams{.num_return_sequences = 0}, Beams{.num_beams = 2, .num_return_sequences = 3}}) {
    EXPECT_THROW(wrong.validate(), InputError);
  }
}

}  // namespace
}  // namespace qloft::generate
