// Texts and pairs of texts as encoders read them: ids, types, offsets, truncation.

#include "qloft/tokenizer/encoding.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"
#include "temporary_folder.h"

namespace qloft::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path golden(const std::string& kind) {
  return fs::path(QLOFT_TEST_DATA) / "golden" / "tokenizers" / kind;
}

std::vector<json> lines_of(const fs::path& file) {
  std::vector<json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) rows.push_back(json::parse(line));
  return rows;
}

std::vector<std::int32_t> flat(const std::vector<CharacterSpan>& spans) {
  std::vector<std::int32_t> places;
  for (const CharacterSpan& span : spans) {
    places.push_back(span.begin);
    places.push_back(span.end);
  }
  return places;
}

EncodeOptions options_of(const json& row) {
  EncodeOptions options;
  if (!row.contains("truncation")) return options;
  const json& truncation = row["truncation"];
  const std::string strategy = truncation[0];
  options.truncation = strategy == "longest_first" ? Truncation::longest_first
                       : strategy == "only_first"  ? Truncation::only_first
                                                   : Truncation::only_second;
  options.max_length = truncation[1];
  options.stride = truncation[2];
  options.cut_left = truncation[3] == "left";
  return options;
}

void expect_equal(const Encoding& encoding, const json& window, const std::string& what) {
  EXPECT_EQ(encoding.ids, window["ids"].get<std::vector<TokenId>>()) << what;
  EXPECT_EQ(encoding.type_ids, window["types"].get<std::vector<std::int32_t>>()) << what;
  EXPECT_EQ(encoding.special, window["special"].get<std::vector<std::uint8_t>>()) << what;
  EXPECT_EQ(flat(encoding.offsets), window["offsets"].get<std::vector<std::int32_t>>()) << what;
  if (!window.contains("sequence")) return;
  EXPECT_EQ(encoding.sequence, window["sequence"].get<std::vector<std::int8_t>>()) << what;
}

class GoldenEncoding : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenEncoding, EncodesAndDecodesHardLinesAsTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  const auto rows = lines_of(golden(GetParam()) / "expected.jsonl");
  ASSERT_GE(rows.size(), 50u);
  for (const json& row : rows) {
    const std::string text = row["text"];
    const std::vector<TokenId> ids = row["ids"];
    const std::string decoded = row.value("decoded", text);
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.encode(text, false), row.value("plain", ids)) << text;
    EXPECT_EQ(tokenizer.decode(ids), decoded) << text;
    EXPECT_EQ(tokenizer.decode(ids, true), row.value("skipped", decoded)) << text;
  }
}

TEST_P(GoldenEncoding, FindsTheCharactersOfEachTokenAsTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  for (const json& row : lines_of(golden(GetParam()) / "expected.jsonl")) {
    const std::string text = row["text"];
    const Encoding encoding = tokenizer.encode(text, EncodeOptions());
    EXPECT_EQ(encoding.ids, row["ids"].get<std::vector<TokenId>>()) << text;
    EXPECT_EQ(flat(encoding.offsets), row["offsets"].get<std::vector<std::int32_t>>()) << text;
  }
}

TEST_P(GoldenEncoding, LaysPairsAndTheirWindowsOutAsTheReference) {
  const fs::path file = golden(GetParam()) / "encodings.jsonl";
  if (!fs::exists(file)) return;  // a decoder's
  const Tokenizer tokenizer = Tokenizer::load(golden(GetParam()));
  for (const json& row : lines_of(file)) {
    const std::string first = row["first"];
    const auto encode = [&] {
      return row["second"].is_null()
                 ? tokenizer.encode(first, options_of(row))
                 : tokenizer.encode_pair(first, row["second"].get<std::string>(), options_of(row));
    };
    if (row["windows"].is_null()) {
      EXPECT_THROW(encode(), InputError) << row;
      continue;
    }
    const Encoding encoding = encode();
    const json& windows = row["windows"];
    ASSERT_EQ(encoding.overflow.size() + 1, windows.size()) << row;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      expect_equal(i == 0 ? encoding : encoding.overflow[i - 1], windows[i],
                   row["first"].dump() + row.value("truncation", json()).dump() + " window " +
                       std::to_string(i));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEncoding,
                         ::testing::Values("bert", "bert_cased", "vocab_txt", "roberta",
                                           "roberta_prefix", "unigram", "unigram_bytes", "t5",
                                           "deberta", "xlm_roberta", "gpt2", "qwen2",
                                           "llama2_normalized", "metaspace"),
                         [](const auto& test) { return test.param; });

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Encoding, RefusesAWindowThatHoldsNoMoreThanWhatIsNotCut) {
  const Tokenizer tokenizer = Tokenizer::load(golden("bert"));
  EncodeOptions options;
  options.truncation = Truncation::only_second;
  const auto encode = [&] { tokenizer.encode_pair("the old farmer", "the boat", options); };
  options.max_length = 2;
  EXPECT_NE(error_of(encode).find("max_length: expected at least the 3 ids"), std::string::npos);
  options.max_length = 6;
  EXPECT_NE(error_of(encode).find("max_length: expected more ids"), std::string::npos)
      << error_of(encode);
  options.max_length = 7;
  options.stride = 1;
  EXPECT_NE(error_of(encode).find("stride: expected less than"), std::string::npos)
      << error_of(encode);
}

TEST(Encoding, CountsCharactersNotBytes) {
  EXPECT_EQ(characters("a\u00e9\U0001F680b", {1, 3}), "\u00e9\U0001F680");
  EXPECT_EQ(characters("ab", {1, 9}), "b");
  EXPECT_EQ(characters("ab", {5, 9}), "");
}

TEST(Encoding, TakesAWordOfAHundredThousandLettersInTime) {
  const std::string word(100'000, 'e');
  for (const char* kind : {"bert", "unigram"}) {
    EXPECT_FALSE(Tokenizer::load(golden(kind)).encode(word).empty()) << kind;
  }
}

}  // namespace
}  // namespace qloft::tokenizer
