#include "qloft/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::tokenizer {
namespace {

namespace fs = std::filesystem;

fs::path golden(const std::string& kind) {
  return fs::path(QLOFT_TEST_DATA) / "golden" / "tokenizers" / kind;
}

// A line of expected.jsonl: what the file leaves out is filled in.
struct Expected {
  std::string text;
  std::vector<TokenId> ids, plain;
  std::string decoded, skipped;
};

std::vector<Expected> expected_of(const std::string& kind) {
  std::vector<Expected> rows;
  std::ifstream in(golden(kind) / "expected.jsonl");
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line);
    Expected row{json.at("text"), json.at("ids"), {}, {}, {}};
    row.plain = json.value("plain", row.ids);
    row.decoded = json.value("decoded", row.text);
    row.skipped = json.value("skipped", row.decoded);
    rows.push_back(std::move(row));
  }
  return rows;
}

// Tokens that stand beside the main file only (tests/golden/make_tokenizers.py, DECLARED).
TEST(Tokenizer, KnowsTokensDeclaredBesideTheMainFileAsTransformersDoes) {
  for (const char* kind : {"declared", "declared_legacy", "declared_sentencepiece"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden(kind));
    const auto rows = expected_of(kind);
    ASSERT_EQ(rows.size(), 6u);
    for (const Expected& row : rows) {
      EXPECT_EQ(tokenizer.encode(row.text), row.ids) << kind << ": " << row.text;
      EXPECT_EQ(tokenizer.encode(row.text, false), row.plain) << kind << ": " << row.text;
      EXPECT_EQ(tokenizer.decode(row.ids), row.decoded) << kind << ": " << row.text;
      EXPECT_EQ(tokenizer.decode(row.ids, true), row.skipped) << kind << ": " << row.text;
    }
    std::ifstream special(golden(kind) / "special.json");
    EXPECT_EQ(nlohmann::json(tokenizer.special_tokens()), nlohmann::json::parse(special)) << kind;
  }
}

class GoldenTokenizer : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTokenizer, EncodesHardLinesAsTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  const auto rows = expected_of(GetParam());
  ASSERT_GE(rows.size(), 50u);
  for (const Expected& row : rows) {
    EXPECT_EQ(tokenizer.encode(row.text), row.ids) << row.text;
    EXPECT_EQ(tokenizer.encode(row.text, false), row.plain) << row.text;
  }
}

TEST_P(GoldenTokenizer, DecodesHardLinesAsTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  for (const Expected& row : expected_of(GetParam())) {
    EXPECT_EQ(tokenizer.decode(row.ids), row.decoded) << row.text;
    EXPECT_EQ(tokenizer.decode(row.ids, true), row.skipped) << row.text;
  }
}

TEST_P(GoldenTokenizer, StreamsWhatItDecodes) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  for (const Expected& row : expected_of(GetParam())) {
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const TokenId id : row.ids) text += stream.push(id);
    text += stream.finish();
    EXPECT_EQ(text, row.skipped) << row.text;
  }
}

TEST_P(GoldenTokenizer, StreamsTheSecondHalfBehindAPrompt) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  for (const Expected& row : expected_of(GetParam())) {
    const auto half = static_cast<std::ptrdiff_t>(row.ids.size() / 2);
    const std::vector<TokenId> prompt(row.ids.begin(), row.ids.begin() + half);
    StreamDecoder all(tokenizer), rest(tokenizer);
    std::string before, after;
    for (const TokenId id : prompt) before += all.push(id);
    rest.prime(prompt);
    for (auto id = row.ids.begin() + half; id != row.ids.end(); ++id) after += rest.push(*id);
    after += rest.finish();
    EXPECT_EQ(before + after, row.skipped) << row.text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizer,
                         ::testing::Values("gpt2", "llama3", "qwen2", "llama2", "llama2_normalized",
                                           "metaspace", "pieces", "sentencepiece",
                                           "sentencepiece_legacy"),
                         [](const auto& test) { return test.param; });

TEST(Tokenizer, ReadsSpecialTokensAsStringsAndObjects) {
  const Tokenizer gpt2 = Tokenizer::load(golden("gpt2"));
  EXPECT_EQ(gpt2.bos(), gpt2.token_id("<|endoftext|>"));
  EXPECT_EQ(gpt2.eos(), gpt2.token_id("<|endoftext|>"));
  EXPECT_FALSE(gpt2.pad());
  const Tokenizer qwen2 = Tokenizer::load(golden("qwen2"));
  EXPECT_FALSE(qwen2.bos());
  EXPECT_EQ(qwen2.eos(), qwen2.token_id("<|im_end|>"));
  EXPECT_EQ(qwen2.pad(), qwen2.token_id("<|endoftext|>"));
}

TEST(Tokenizer, FallsBackToTheSpecialTokensMap) {
  const test::TemporaryFolder folder;
  fs::copy(golden("metaspace") / "tokenizer.json", folder.path());
  std::ofstream(folder / "special_tokens_map.json")
      << R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})";
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
}

TEST(Tokenizer, HasTheTokensOfTransformersClassWhereNoFileNamesThem) {
  const test::TemporaryFolder folder;
  fs::copy(golden("gpt2") / "tokenizer.json", folder.path());
  EXPECT_FALSE(Tokenizer::load(folder.path()).eos());
  std::ofstream(folder / "config.json") << R"({"model_type": "gpt2"})";
  const Tokenizer gpt2 = Tokenizer::load(folder.path());
  EXPECT_EQ(gpt2.special_tokens(),
            (std::map<std::string, std::string>{{"bos_token", "<|endoftext|>"},
                                                {"eos_token", "<|endoftext|>"},
                                                {"unk_token", "<|endoftext|>"}}));
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"tokenizer_class": "PreTrainedTokenizerFast"})";
  EXPECT_FALSE(Tokenizer::load(folder.path()).eos());
}

TEST(Tokenizer, CutsSpecialTokensUpWhereTheConfigurationSaysSo) {
  const test::TemporaryFolder folder;
  fs::copy(golden("qwen2") / "tokenizer.json", folder.path());
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("<|im_start|>").size(), 1u);
  std::ofstream(folder / "tokenizer_config.json") << R"({"split_special_tokens": true})";
  // What transformers 5.23 gives.
  EXPECT_EQ(Tokenizer::load(folder.path()).encode("<|im_start|>"),
            (std::vector<TokenId>{27, 91, 72, 76, 62, 82, 304, 83, 91, 29}));
}

TEST(Tokenizer, KnowsItsTokensByIdAndName) {
  const Tokenizer tokenizer = Tokenizer::load(golden("llama3"));
  const auto bos = tokenizer.token_id("<s>");
  ASSERT_TRUE(bos);
  EXPECT_EQ(tokenizer.token(*bos), "<s>");
  EXPECT_TRUE(tokenizer.is_special(*bos));
  EXPECT_FALSE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.token_id("no such token"));
  EXPECT_GT(tokenizer.vocabulary_size(), *bos);
  EXPECT_THROW(tokenizer.token(static_cast<TokenId>(tokenizer.vocabulary_size())), InputError);
  EXPECT_THROW(tokenizer.token(-1), InputError);
  EXPECT_FALSE(tokenizer.is_special(-1));
}

TEST(Tokenizer, LeavesUnknownIdsOutWhenDecoding) {
  const Tokenizer tokenizer = Tokenizer::load(golden("llama3"));
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{-5, 1 << 30}), "");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{}), "");
}

TEST(Tokenizer, ReplacesInvalidUtf8ByOneCharacterEachMaximalPart) {
  const Tokenizer tokenizer = Tokenizer::load(golden("gpt2"));
  const struct {
    std::string bytes, text;
  } cases[] = {
      {"a\xFFz", "a\uFFFDz"},
      {"\xE2\x82", "\uFFFD"},
      {"\xE2\x82z", "\uFFFDz"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xC0\x80", "\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(tokenizer.encode(c.bytes), tokenizer.encode(c.text));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(c.bytes)), c.text);
  }
}

TEST(Tokenizer, GivesTheSameIdsInManyThreads) {
  const Tokenizer one = Tokenizer::load(golden("qwen2"));
  const Tokenizer two = Tokenizer::load(golden("metaspace"));
  const auto first = expected_of("qwen2");
  const auto second = expected_of("metaspace");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < first.size(); ++i) {
        wrong[t] += one.encode(first[i].text) != first[i].ids;
        wrong[t] += two.encode(second[i].text) != second[i].ids;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Tokenizer, MergesAWordOfAHundredThousandLettersInTime) {
  const Tokenizer tokenizer = Tokenizer::load(golden("llama2"));
  const std::string word(100'000, 'e');
  const auto ids = tokenizer.encode(word, false);
  EXPECT_EQ(tokenizer.decode(ids), word);
}

TEST(Tokenizer, OrdersALongRunOfMarksInTime) {
  const Tokenizer tokenizer = Tokenizer::load(golden("qwen2"));
  std::string marks = "a";
  for (int i = 0; i < 50'000; ++i) marks += "\u0301\u0316";
  EXPECT_FALSE(tokenizer.encode(marks).empty());
}

TEST(StreamDecoder, HoldsACharacterBackUntilItIsWhole) {
  for (const char* kind : {"gpt2", "metaspace"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden(kind));
    const auto ids = tokenizer.encode("x\U0001F680", false);
    StreamDecoder stream(tokenizer);
    std::vector<std::string> parts;
    for (const TokenId id : ids) {
      const std::string part = stream.push(id);
      if (!part.empty()) parts.push_back(part);
    }
    EXPECT_EQ(parts, (std::vector<std::string>{"x", "\U0001F680"})) << kind;
    EXPECT_EQ(stream.finish(), "");
  }
}

TEST(StreamDecoder, CompletesACharacterThatAPromptBegan) {
  for (const char* kind : {"gpt2", "metaspace"}) {
    const Tokenizer tokenizer = Tokenizer::load(golden(kind));
    const auto ids = tokenizer.encode("a \u00FC\U0001F680b", false);
    const auto cut = static_cast<std::ptrdiff_t>(ids.size()) - 3;  // within the rocket
    StreamDecoder stream(tokenizer);
    stream.prime(std::span(ids).first(static_cast<std::size_t>(cut)));
    std::string text;
    for (auto id = ids.begin() + cut; id != ids.end(); ++id) text += stream.push(*id);
    EXPECT_EQ(text + stream.finish(), "\U0001F680b") << kind;
  }
}

TEST(StreamDecoder, GivesACutCharacterAtTheEnd) {
  const Tokenizer tokenizer = Tokenizer::load(golden("gpt2"));
  auto ids = tokenizer.encode("\U0001F680", false);
  ids.pop_back();
  StreamDecoder stream(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  EXPECT_EQ(text, "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(StreamDecoder, KeepsTheSpaceBehindAPrompt) {
  const Tokenizer tokenizer = Tokenizer::load(golden("metaspace"));
  StreamDecoder stream(tokenizer);
  stream.prime(tokenizer.encode("the farmer"));
  std::string text;
  for (const TokenId id : tokenizer.encode("boat", false)) text += stream.push(id);
  EXPECT_EQ(text + stream.finish(), " boat");
}

}  // namespace
}  // namespace qloft::tokenizer
