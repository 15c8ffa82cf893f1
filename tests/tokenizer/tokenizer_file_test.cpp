// tokenizer.json and tokenizer.model as files: every kind of part, and what is refused.

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Letters, spaces and a few merges; no unknown token: what it lacks vanishes.
json base() {
  return json::parse(R"({
    "version": "1.0", "added_tokens": [],
    "model": {"type": "BPE",
              "vocab": {"<s>": 0, "a": 1, "b": 2, " ": 3, "ab": 4, "1": 5, ".": 6, "2": 7},
              "merges": ["a b"]}})");
}

Tokenizer load(const json& tokenizer) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
  return Tokenizer::load(folder.path());
}

std::string error_of(const json& tokenizer) {
  try {
    load(tokenizer);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// The tokens of `text`, joined by "|".
std::string pieces(const json& tokenizer, const std::string& text) {
  const Tokenizer t = load(tokenizer);
  std::string joined;
  for (const TokenId id : t.encode(text)) joined += (joined.empty() ? "" : "|") + t.token(id);
  return joined;
}

TEST(TokenizerFile, NamesTheFieldOfEveryBrokenPart) {
  const struct {
    const char* pointer;
    const char* value;
    const char* complaint;
  } cases[] = {
      {"/version", R"("2.0")", "version: expected one of 1.0"},
      {"/model", "null", "model: expected a value"},
      {"/model", "7", "model: expected an object, found 7"},
      {"/model/type", R"("WordLevel")",
       "model.type: expected one of BPE, WordPiece, Unigram, found \"WordLevel\""},
      {"/model", R"({"type": "Unigram", "vocab": []})", "model.vocab: expected tokens with"},
      {"/model", R"({"type": "Unigram", "vocab": [["a"]]})", "model.vocab[0]: expected a token"},
      {"/model", R"({"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1})",
       "model.unk_id: expected a whole number from 0 to 0, found 1"},
      {"/model", R"({"type": "WordPiece", "vocab": {}, "max_input_chars_per_word": -1})",
       "model.max_input_chars_per_word: expected a whole number from 0"},
      {"/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "?"})",
       "normalizer.precompiled_charsmap: expected base64"},
      {"/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "CAAAAAAA"})",
       "normalizer.precompiled_charsmap: expected a trie of at most 2 bytes, found 8"},
      {"/normalizer", R"({"type": "BertNormalizer", "lowercase": 1})",
       "normalizer.lowercase: expected true or false"},
      {"/model/vocab", "[]", "model.vocab: expected an object"},
      {"/model/vocab/a", "-1", "model.vocab[\"a\"]: expected an id from 0"},
      {"/model/vocab/a", "1.5", "model.vocab[\"a\"]: expected an id from 0"},
      {"/model/vocab/a", "4000000000", "model.vocab[\"a\"]: expected an id from 0"},
      {"/model/vocab/a", "18446744073709551615", "model.vocab"},
      {"/model/merges", "null", "model.merges: expected a value"},
      {"/model/merges", "{}", "model.merges: expected an array"},
      {"/model/merges", R"(["a b", "ab"])", "model.merges[1]: expected two tokens"},
      {"/model/merges", R"([["a", "b", "c"]])", "model.merges[0]: expected two tokens"},
      {"/model/merges", R"(["a x"])",
       "model.merges[0]: expected tokens of model.vocab, found \"x\""},
      {"/model/merges", R"(["b a"])",
       "model.merges[0]: expected tokens of model.vocab, found \"ba\""},
      {"/model/dropout", "0.1", "model.dropout: expected null or 0"},
      {"/model/byte_fallback", "3", "model.byte_fallback: expected true or false"},
      {"/normalizer", R"({"type": "Nope"})", "normalizer.type: expected one of Sequence, Prepend"},
      {"/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "X"}]})",
       "normalizer.normalizers[1].type: expected one of"},
      {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "("}, "content": ""})",
       "normalizer.pattern.Regex: expected a regular expression"},
      {"/normalizer", R"({"type": "Replace", "pattern": {}, "content": ""})",
       "normalizer.pattern: expected an object with String or Regex"},
      {"/pre_tokenizer", R"({"type": "Nope"})",
       "pre_tokenizer.type: expected one of Sequence, Split"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})",
       "pre_tokenizer.replacement: expected one character"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})",
       "pre_tokenizer.prepend_scheme: expected one of first, never, always"},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept", "invert": false})",
       "pre_tokenizer.behavior: expected one of Removed, Isolated"},
      {"/decoder", R"({"type": "CTC"})", "decoder.type: expected one of Sequence, Replace"},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": "1", "stop": 0})",
       "decoder.start: expected a whole number"},
      {"/post_processor", R"({"type": "Nope"})", "post_processor.type: expected one of Sequence"},
      {"/post_processor", R"({"type": "BertProcessing", "cls": ["x", 99], "sep": ["y", 1]})",
       "post_processor.cls[1]: expected an id below 8"},
      {"/post_processor",
       R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}], "special_tokens": {}})",
       "post_processor.single[0].Sequence.id: expected one of A"},
      {"/post_processor",
       R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {}})",
       "post_processor.single[0].SpecialToken.id: expected a name in special_tokens"},
      {"/post_processor",
       R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}],
           "pair": [{"Sequence": {"id": "A"}}], "special_tokens": {}})",
       "post_processor.pair: expected sequence B in it, found none"},
      {"/added_tokens", "3", "added_tokens: expected an array"},
      {"/added_tokens", R"([{"id": 1}])", "added_tokens[0].content: expected a value"},
      {"/added_tokens", R"([{"content": 5}])", "added_tokens[0].content: expected a string"},
  };
  for (const auto& c : cases) {
    json tokenizer = base();
    tokenizer[json::json_pointer(c.pointer)] = json::parse(c.value);
    const std::string error = error_of(tokenizer);
    EXPECT_NE(error.find(c.complaint), std::string::npos) << c.value << "\n" << error;
    EXPECT_NE(error.find("tokenizer.json: "), std::string::npos) << error;
  }
}

TEST(TokenizerFile, DoesNotAllocateByTheIdOfAnAddedToken) {
  json tokenizer = base();
  tokenizer["added_tokens"] = {{{"id", 4'000'000'000u}, {"content", "<x>"}, {"special", true}}};
  const Tokenizer t = load(tokenizer);
  EXPECT_EQ(t.token_id("<x>"), 8);  // the next free one, as the reference numbers them
  EXPECT_EQ(t.vocabulary_size(), 9);
}

TEST(TokenizerFile, RefusesTooManySteps) {
  json tokenizer = base();
  json steps = json::array();
  for (int i = 0; i < 100; ++i) steps.push_back({{"type", "WhitespaceSplit"}});
  tokenizer["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  EXPECT_NE(error_of(tokenizer).find("fewer pre-tokenizers"), std::string::npos);
}

TEST(TokenizerFile, SplitsByEveryBehaviour) {
  const struct {
    const char* behavior;
    bool invert;
    const char* pieces;
  } cases[] = {
      {"Removed", false, "ab|1|2"},
      {"Removed", true, " | | "},
      {"Isolated", false, "ab| | |1| |2"},
      {"MergedWithPrevious", false, "ab | |1 |2"},
      {"MergedWithNext", false, "ab| | 1| 2"},
      {"Contiguous", false, "ab|  |1| |2"},
  };
  for (const auto& c : cases) {
    json tokenizer = base();
    // Every piece that can come out is a token.
    tokenizer["model"]["ignore_merges"] = true;
    int id = 100;
    for (const char* token : {"ab ", "1 ", " 1", " 2", "  "}) {
      tokenizer["model"]["vocab"][token] = id++;
    }
    tokenizer["pre_tokenizer"] = {{"type", "Split"},
                                  {"pattern", {{"String", " "}}},
                                  {"behavior", c.behavior},
                                  {"invert", c.invert}};
    EXPECT_EQ(pieces(tokenizer, "ab  1 2"), c.pieces) << c.behavior;
  }
}

TEST(TokenizerFile, GivesUpARegularExpressionThatRunsAway) {
  json tokenizer = base();
  tokenizer["pre_tokenizer"] = {{"type", "Split"},
                                {"pattern", {{"Regex", "(a+)+$x|(a|aa)+\\z"}}},
                                {"behavior", "Isolated"},
                                {"invert", false}};
  const Tokenizer t = load(tokenizer);
  EXPECT_THROW(t.encode(std::string(200, 'a') + "b"), InputError);
}

TEST(TokenizerFile, ReadsRubysRegularExpressions) {
  const struct {
    const char* regex;
    const char* text;
    const char* pieces;
  } cases[] = {
      {"a{1,2}+", "aaab", "aaa"},             // the repetition repeats: not possessive
      {"a{,2}b", "aab", "aab"},               // from 0
      {"\\h", "ag", "a"},                     // a hexadecimal digit
      {"(?m:a.b)", "a\nb", "a\nb"},           // the dot takes a newline
      {"\\p{Han}+", "a\u6F22", "\u6F22"},     // a script
      {"[^\\S]", "a b", " "},                 // a negated class of a negated escape
      {"\\s+", "a\u180Eb\u0085c", "\u0085"},  // U+180E is no space, U+0085 is one
      {"^b", "a\nb", "b"},                    // every line begins anew
      {"(?i:'S)\\b", "it's", "'s"},
      {"a(?!b)", "ab aa", "a|a"},
      {"\\p{L}++b", "aab", ""},  // possessive: nothing is given back
  };
  for (const auto& c : cases) {
    json tokenizer = base();
    // Matches alone stay, and each is one token.
    tokenizer["model"]["ignore_merges"] = true;
    tokenizer["model"]["unk_token"] = "<s>";
    std::istringstream names(c.pieces);
    int id = 100;
    for (std::string name; std::getline(names, name, '|');) {
      if (!tokenizer["model"]["vocab"].contains(name)) tokenizer["model"]["vocab"][name] = id++;
    }
    tokenizer["pre_tokenizer"] = {{"type", "Split"},
                                  {"pattern", {{"Regex", c.regex}}},
                                  {"behavior", "Removed"},
                                  {"invert", true}};
    EXPECT_EQ(pieces(tokenizer, c.text), c.pieces) << c.regex;
  }
}

TEST(TokenizerFile, RefusesExpressionsThatItCannotTranslate) {
  for (const char* regex : {"[a&&b]", "[a[bc]]", "(?~a)", "\\p{NoSuch}", "[a", "a\\", "(?x) a"}) {
    json tokenizer = base();
    tokenizer["pre_tokenizer"] = {{"type", "Split"},
                                  {"pattern", {{"Regex", regex}}},
                                  {"behavior", "Removed"},
                                  {"invert", true}};
    EXPECT_NE(
        error_of(tokenizer).find("pre_tokenizer.pattern.Regex: expected a regular expression"),
        std::string::npos)
        << regex << "\n"
        << error_of(tokenizer);
  }
}

TEST(TokenizerFile, BoundsTheLengthOfAnAddedToken) {
  json tokenizer = base();
  const auto add = [&](std::size_t length) {
    tokenizer["added_tokens"] = {{{"id", 90},
                                  {"content", std::string(length, 'a')},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", true}}};
  };
  add(512);
  EXPECT_NO_THROW(load(tokenizer));
  add(513);
  EXPECT_NE(error_of(tokenizer).find("added_tokens[0].content: expected at most 512 bytes"),
            std::string::npos)
      << error_of(tokenizer);
}

TEST(TokenizerFile, BoundsTheLengthOfATokenThatIsDeclaredBesideIt) {
  const std::string longest(512, 'a'), longer(513, 'a');
  const struct {
    const char* file;
    std::function<json(const std::string&)> holding;
    const char* complaint;
  } cases[] = {
      {"tokenizer_config.json",
       [](const auto& token) {
         return json{{"eos_token", token}};
       },
       "tokenizer_config.json: eos_token: expected at most 512 bytes, found 513"},
      {"special_tokens_map.json",
       [](const auto& token) {
         return json{{"eos_token", {{"content", token}}}};
       },
       "special_tokens_map.json: eos_token.content: expected at most 512 bytes, found 513"},
      {"added_tokens.json",
       [](const auto& token) {
         return json{{token, 90}};
       },
       "added_tokens.json: expected tokens of at most 512 bytes, found one of 513"},
  };
  for (const auto& c : cases) {
    const test::TemporaryFolder folder;
    std::ofstream(folder / "tokenizer.json") << base().dump();
    std::ofstream(folder / c.file) << c.holding(longest).dump();
    EXPECT_NO_THROW(Tokenizer::load(folder.path()));
    std::ofstream(folder / c.file) << c.holding(longer).dump();
    const std::string refusal = test::refusal([&] { Tokenizer::load(folder.path()); });
    EXPECT_NE(refusal.find(c.complaint), std::string::npos) << refusal;
  }
}

// From every letter to the end of the text, without a match: quadratic work that no step counts.
TEST(TokenizerFile, GivesUpAnExpressionThatLooksTooFar) {
  json tokenizer = base();
  tokenizer["pre_tokenizer"] = {{"type", "Split"},
                                {"pattern", {{"Regex", "a(?=.*b)"}}},
                                {"behavior", "Removed"},
                                {"invert", false}};
  try {
    load(tokenizer).encode(std::string(500'000, 'a'));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("it takes too long"), std::string::npos);
  }
}

TEST(TokenizerFile, BoundsAReplacementThatGrowsWithoutEnd) {
  json tokenizer = base();
  json steps = json::array();
  for (int i = 0; i < 40; ++i) {
    steps.push_back(
        {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}});
  }
  tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  EXPECT_THROW(load(tokenizer).encode("aaa"), InputError);
}

TEST(TokenizerFile, BoundsADecoderThatGrowsWithoutEnd) {
  const auto decoding = [](const std::string& content, int steps) {
    json tokenizer = base();
    json decoders = json::array();
    for (int i = 0; i < steps; ++i) {
      decoders.push_back(
          {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", content}});
    }
    tokenizer["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
    const Tokenizer loaded = load(tokenizer);
    return loaded.decode(loaded.encode("aaa"));
  };
  EXPECT_EQ(decoding("aa", 2), std::string(12, 'a'));
  EXPECT_THROW(decoding("aa", 40), InputError);
  EXPECT_THROW(decoding(std::string(2000, 'a'), 1), InputError);
}

// A merge a space, in the order of a byte pair encoding: work that must not grow with the square.
TEST(TokenizerFile, EncodesALongRunOfSpacesWhole) {
  json tokenizer = base();
  const std::string run(1 << 20, ' ');
  EXPECT_EQ(load(tokenizer).encode(run).size(), run.size());
}

TEST(TokenizerFile, MissesBothFilesWithTheFolderNamed) {
  const test::TemporaryFolder folder;
  try {
    Tokenizer::load(folder.path());
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().file, folder.path());
  }
}

TEST(TokenizerFile, RefusesAUnigramModelOfAClassThatItDoesNotKnow) {
  const test::TemporaryFolder folder;
  fs::copy(fs::path(QLOFT_TEST_DATA) / "golden" / "tokenizers" / "t5" / "spiece.model",
           folder.path());
  const std::string refusal = test::refusal([&] { Tokenizer::load(folder.path()); });
  EXPECT_NE(refusal.find("spiece.model: trainer_spec.model_type: expected 2 (BPE), or with 1"),
            std::string::npos)
      << refusal;
  std::ofstream(folder / "config.json") << R"({"model_type": "t5"})";
  EXPECT_EQ(Tokenizer::load(folder.path()).eos(), 1);
}

TEST(TokenizerFile, RefusesEveryCutOfASentencePieceModel) {
  const fs::path source =
      fs::path(QLOFT_TEST_DATA) / "golden" / "tokenizers" / "sentencepiece" / "tokenizer.model";
  std::ostringstream bytes;
  bytes << std::ifstream(source, std::ios::binary).rdbuf();
  const std::string whole = bytes.str();
  const test::TemporaryFolder folder;
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    std::ofstream(folder / "tokenizer.model", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(Tokenizer::load(folder.path()), InputError) << size;
  }
}

}  // namespace
}  // namespace qloft::tokenizer
