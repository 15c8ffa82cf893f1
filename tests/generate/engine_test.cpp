// The engine on a model of random weights: its texts mean nothing, its ids must not depend on what
// else runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/random.h"
#include "qloft/generate.h"

namespace qloft::generate {
namespace {

using testing::HasSubstr;
using tokenizer::TokenId;
using Ids = std::vector<TokenId>;

class EngineTest : public testing::Test {
 protected:
  static model::Model random_model() {
    const auto config = io::Json{{"model_type", "llama"},    {"hidden_size", 32},
                                 {"intermediate_size", 48},  {"num_hidden_layers", 2},
                                 {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                                 {"vocab_size", 64},         {"max_position_embeddings", 128},
                                 {"initializer_range", 0.4}};
    return model::Model::random(architecture::read_layout(config, "config.json"), {}, 5);
  }

  model::AdapterId attach(const std::string& name, std::uint64_t seed) {
    adapter::Adapter adapter;
    adapter.config.rank = 2;
    adapter.config.alpha = 4;
    Random random(seed);
    for (const auto id : architecture::linear_layers(model_.layout())) {
      const auto& linear = model_.layout().parameter(id);
      adapter::Factors factors{Matrix(2, linear.columns()), Matrix(linear.rows(), 2)};
      random.fill_normal(factors.a.values(), 0.f, 0.3f);
      random.fill_normal(factors.b.values(), 0.f, 0.3f);
      adapter.modules[linear.module()] = std::move(factors);
    }
    const auto id = model_.attach(name, adapter, false);
    model_.set_training(false);
    return id;
  }

  Result alone(const Request& request) { return generate(model_, tokenizer_, request); }

  static void run(Engine& engine) {
    while (engine.running() > 0) engine.step();
  }

  model::Model model_ = random_model();
  tokenizer::Tokenizer tokenizer_ =
      tokenizer::Tokenizer::load(std::filesystem::path(QLOFT_TEST_DATA) / "golden/tokenizers/gpt2");
};

constexpr model::StoredType kCacheTypes[] = {model::StoredType::f32, model::StoredType::bf16,
                                             model::StoredType::int8};

TEST_F(EngineTest, ASequenceThatComesLateOrGoesEarlyChangesNoOther) {
  const Request first{{3, 9, 27}, {.max_tokens = 12}};
  const Request second{{40, 41, 42, 43, 44, 45, 46}, {.max_tokens = 7}};
  const Request third{{5}, {.max_tokens = 20}};
  for (const auto type : kCacheTypes) {
    model_.set_cache_type(type);
    Engine engine(model_, tokenizer_);
    const SequenceId a = engine.add(first), c = engine.add(third);
    for (int i = 0; i < 4; ++i) engine.step();
    const SequenceId b = engine.add(second);
    engine.step();
    engine.remove(c);
    run(engine);
    EXPECT_EQ(engine.result(a).ids, alone(first).ids) << name(type);
    EXPECT_EQ(engine.result(b).ids, alone(second).ids) << name(type);
  }
}

TEST_F(EngineTest, SequencesOfDifferentAdaptersRunTogether) {
  const Ids prompt = {7, 8, 9, 10};
  std::vector<Request> requests;
  for (const auto adapter : {attach("a", 1), model::kNoAdapter, attach("b", 2)}) {
    requests.push_back({prompt, {.max_tokens = 10, .adapter = adapter}});
  }
  Engine engine(model_, tokenizer_);
  std::vector<SequenceId> ids;
  for (const Request& request : requests) ids.push_back(engine.add(request));
  run(engine);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(engine.result(ids[i]).ids, alone(requests[i]).ids) << i;
  }
  EXPECT_NE(engine.result(ids[0]).ids, engine.result(ids[1]).ids);
  EXPECT_NE(engine.result(ids[0]).ids, engine.result(ids[2]).ids);
}

TEST_F(EngineTest, LongPromptsAreTakenInPartsAndDoNotHoldUpOthers) {
  Ids prompt(50);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(3 + i);
  const Request longer{prompt, {.max_tokens = 5}}, shorter{{4, 5}, {.max_tokens = 5}};
  Engine engine(model_, tokenizer_, 8);
  const SequenceId quick = engine.add(shorter), slow = engine.add(longer);
  for (int i = 0; i < 5; ++i) engine.step();
  EXPECT_TRUE(engine.finished(quick));
  EXPECT_TRUE(engine.result(slow).ids.empty());
  run(engine);
  EXPECT_EQ(engine.result(slow).ids, alone(longer).ids);
}

TEST_F(EngineTest, AStepNamesTheSequencesThatItFinished) {
  Engine engine(model_, tokenizer_);
  const SequenceId one = engine.add({{3}, {.max_tokens = 1}});
  const SequenceId none = engine.add({{3}, {.max_tokens = 0}});
  const SequenceId two = engine.add({{3}, {.max_tokens = 2}});
  EXPECT_THAT(engine.step(), testing::UnorderedElementsAre(one, none));
  EXPECT_THAT(engine.step(), testing::ElementsAre(two));
  EXPECT_THAT(engine.step(), testing::IsEmpty());
  EXPECT_TRUE(engine.result(none).ids.empty());
  EXPECT_EQ(engine.result(two).reason, StopReason::length);
}

TEST_F(EngineTest, AConversationGoesOnAsIfItsPromptWereNew) {
  const auto adapter = attach("a", 1);
  for (const auto type : kCacheTypes) {
    model_.set_cache_type(type);
    Engine engine(model_, tokenizer_);
    const SequenceId id = engine.add({{3, 4, 5}, {.max_tokens = 6}});
    run(engine);
    Ids longer = {3, 4, 5};
    for (const TokenId token : engine.result(id).ids) longer.push_back(token);
    longer.push_back(11);
    const struct {
      const char* what;
      Request next;
    } cases[] = {
        {"the same text and more", {longer, {.max_tokens = 6}}},
        {"another text after the same beginning", {{3, 4, 20, 21}, {.max_tokens = 30}}},
        {"the same text again", {{3, 4, 20, 21}, {.max_tokens = 8}}},
        {"another adapter", {{3, 4, 20, 21}, {.max_tokens = 8, .adapter = adapter}}},
        {"nothing in common", {{9}, {.max_tokens = 8, .adapter = adapter}}},
    };
    for (const auto& c : cases) {
      SCOPED_TRACE(std::string(name(type)) + ", " + c.what);
      engine.go_on(id, c.next);
      EXPECT_FALSE(engine.finished(id));
      run(engine);
      EXPECT_EQ(engine.result(id).ids, alone(c.next).ids);
    }
  }
}

TEST_F(EngineTest, StreamsOfOneSeedDrawDifferentlyAndRepeat) {
  const auto request = [](std::uint64_t stream) {
    return Request{
        {3, 4}, {.sampling = {.temperature = 1, .seed = 7}, .max_tokens = 20}, nullptr, stream};
  };
  Engine engine(model_, tokenizer_);
  const SequenceId a = engine.add(request(0)), b = engine.add(request(1));
  run(engine);
  EXPECT_NE(engine.result(a).ids, engine.result(b).ids);
  EXPECT_EQ(engine.result(b).ids, alone(request(1)).ids);
}

TEST_F(EngineTest, EndsWhereTheOptionsSay) {
  const Request plain{{3, 9, 27}, {.max_tokens = 12}};
  const Ids ids = alone(plain).ids;
  Request request = plain;
  request.options.eos = {63, ids[4]};
  const auto first = std::find(ids.begin(), ids.end(), ids[4]);
  Result result = alone(request);
  EXPECT_EQ(result.reason, StopReason::eos);
  EXPECT_EQ(result.ids, Ids(ids.begin(), first));
  request.options.ignore_eos = true;
  EXPECT_EQ(alone(request).ids, ids);

  request = plain;
  request.options.stop = {tokenizer_.decode(Ids{ids[3]})};
  result = alone(request);
  EXPECT_EQ(result.reason, StopReason::stop_string);
  EXPECT_THAT(result.text, testing::Not(HasSubstr(request.options.stop.front())));

  request = plain;
  std::string shown;
  request.sink = [&](std::string_view piece) {
    shown += piece;
    return false;
  };
  result = alone(request);
  EXPECT_EQ(result.reason, StopReason::interrupted);
  EXPECT_TRUE(result.text.starts_with(shown));
}

TEST_F(EngineTest, EndsWhereTheModelsPositionsEnd) {
  const Request request{Ids(120, 3), {.max_tokens = 500}};
  EXPECT_EQ(alone(request).ids.size(), 8u);
  EXPECT_EQ(alone({Ids(128, 3), {.max_tokens = 500}}).ids.size(), 1u);
}

TEST_F(EngineTest, RefusesWhatCannotBe) {
  Engine engine(model_, tokenizer_);
  const auto error = [&](const Request& request) -> std::string {
    try {
      engine.add(request);
    } catch (const InputError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error({{}, {}}), HasSubstr("prompt: expected at least one token"));
  EXPECT_THAT(error({{64}, {}}), HasSubstr("outside the model's vocabulary of 64"));
  EXPECT_THAT(error({Ids(129, 3), {}}),
              HasSubstr("prompt: expected at most the model's 128 positions, found 129 tokens"));
  EXPECT_THAT(error({{3}, {.max_tokens = -1}}), HasSubstr("max_tokens: expected 0 or more"));
  EXPECT_THAT(error({{3}, {.sampling = {.top_p = 2}}}), HasSubstr("top_p"));
  EXPECT_THROW(engine.remove(SequenceId{5}), Error);
  const SequenceId id = engine.add({{3}, {}});
  EXPECT_THROW(engine.go_on(id, {{3}, {}}), Error);
  EXPECT_EQ(engine.running(), 1);
}

}  // namespace
}  // namespace qloft::generate
