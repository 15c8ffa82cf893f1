#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "malformed.h"
#include "qloft/core/error.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::io {
namespace {

std::string error_of(const std::string& text, std::int64_t first_line = 1) {
  try {
    parse_json(text, "a.json", first_line);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Json, RefusesEveryMalformedFileWithOneLine) {
  const auto cases = test::malformed_cases("json");
  ASSERT_GE(cases.size(), 15u);
  for (const auto& [path, expected] : cases) {
    SCOPED_TRACE(path);
    try {
      read_json(path);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with(path.string() + ": ")) << line;
      EXPECT_NE(line.find(expected), std::string::npos) << line;
      EXPECT_EQ(line.find('\n'), std::string::npos);
    }
  }
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"b": 1, "a": [true, null], "c": {"z": 0, "y": -1.5}})", "f").dump(),
            R"({"b":1,"a":[true,null],"c":{"z":0,"y":-1.5}})");
}

TEST(Json, KeepsTheLastOfDuplicateKeysAtTheFirstPlace) {
  EXPECT_EQ(parse_json(R"({"a": 1, "b": 2, "a": [3], "c": 4, "b": 5})", "f").dump(),
            R"({"a":[3],"b":5,"c":4})");
}

TEST(Json, CountsLinesFromTheGivenOne) {
  EXPECT_EQ(error_of("\n{\"a\" 1}", 17), "a.json: line 18: expected ':', found number literal");
}

TEST(Json, AcceptsTheGreatestDepthAndNoMore) {
  const std::string open(256, '['), close(256, ']');
  EXPECT_NO_THROW(parse_json(open + close, "f"));
  EXPECT_EQ(error_of("[" + open + close + "]"),
            "a.json: line 1: expected at most 256 levels of brackets, found more");
}

TEST(Json, SurvivesMillionsOfBrackets) {
  EXPECT_NE(error_of(std::string(5'000'000, '[')).find("256 levels"), std::string::npos);
}

TEST(Json, ReadsAVocabularyInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += (i > 0 ? ",\"token" : "\"token") + std::to_string(i) + "\":" + std::to_string(i);
  }
  EXPECT_EQ(parse_json(text + "}", "f").size(), 200'000u);
}

TEST(Json, QuotesOnlyPrintableBytes) {
  EXPECT_EQ(error_of("[\x1b[31m"),
            "a.json: line 1: expected JSON, found invalid literal in '[<U+001B>'");
}

TEST(Json, WritesWhatItReads) {
  const test::TemporaryFolder folder;
  const Json value = parse_json(R"({"b": [1, 2.5], "a": "\u00e9"})", "f");
  write_json(folder / "x.json", value);
  EXPECT_EQ(read_json(folder / "x.json"), value);
}

TEST(Json, NamesAMissingFile) {
  try {
    read_json("/nonexistent/x.json");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "/nonexistent/x.json: no such file");
  }
}

}  // namespace
}  // namespace qloft::io
