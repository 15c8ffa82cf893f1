#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "malformed.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "qloft/io/fields.h"
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

TEST(Json, BoundsTheValuesOfAText) {
  std::string text = "[0";
  for (int i = 0; i < 1 << 24; ++i) text += ",0";
  EXPECT_NE(error_of(text + "]").find("expected at most 16777216 values, found more"),
            std::string::npos);
}

TEST(Json, BoundsTheBytesOfAFile) {
  const test::TemporaryFolder folder;
  write_file(folder / "x.json", "1");
  std::filesystem::resize_file(folder / "x.json", (1 << 28) + 1);  // no room on the disk is taken
  try {
    read_json(folder / "x.json");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), ((folder / "x.json").string() +
                                ": expected JSON of at most 268435456 bytes, found 268435457")
                                   .c_str());
  }
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

TEST(Field, NamesFileAndFieldOfWhatIsNotAsExpected) {
  const Json json = parse_json(
      R"({"rank": 0, "deep": {"list": [1, "x"]}, "none": null, "big": 18446744073709551615,
                                   "huge": 1e300, "type": "dog"})",
      "a.json");
  const Field root(json, "a.json");
  const auto error = [](auto&& read) -> std::string {
    try {
      read();
    } catch (const InputError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error([&] { root.at("rank").integer(1, 9); }),
            "a.json: rank: expected a whole number from 1 to 9, found 0");
  EXPECT_EQ(error([&] { root.integer("rank", 1); }),
            "a.json: rank: expected a whole number from 1, found 0");
  EXPECT_EQ(error([&] { root.integer("big"); }),
            "a.json: big: expected a whole number, found 18446744073709551615");
  EXPECT_EQ(error([&] { root.number("huge", 0, 10); }),
            "a.json: huge: expected a number from 0 to 10, found 1e+300");
  EXPECT_EQ(error([&] { root.at("deep").at("list").strings(); }),
            "a.json: deep.list[0]: expected a string, found 1");
  EXPECT_EQ(error([&] { root.at("deep").boolean(); }),
            "a.json: deep: expected true or false, found an object");
  EXPECT_EQ(error([&] { root.at("none"); }), "a.json: none: expected a value, found none");
  EXPECT_EQ(error([&] {
              root.at("type").choice({"cat", "cow"});
            }),
            "a.json: type: expected one of cat, cow, found \"dog\"");
  EXPECT_EQ(error([&] { root.at("rank").find("x"); }), "a.json: rank: expected an object, found 0");
}

TEST(Field, TakesNullForMissing) {
  const Json json = parse_json(R"({"none": null, "yes": true})", "a.json");
  const Field root(json, "a.json");
  EXPECT_FALSE(root.has("none"));
  EXPECT_TRUE(root.mentions("none"));
  EXPECT_FALSE(root.mentions("other"));
  EXPECT_EQ(root.string("none"), std::nullopt);
  EXPECT_EQ(root.number("other"), std::nullopt);
  EXPECT_EQ(root.boolean("yes"), true);
}

}  // namespace
}  // namespace qloft::io
