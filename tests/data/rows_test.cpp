// JSON arrays as data files: which elements are rows, and what an error names.

#include "qloft/data/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RowsOfFiles : public ::testing::Test {
 protected:
  Rows open(const std::string& text) {
    std::ofstream(folder_ / "data.json", std::ios::binary) << text;
    return Rows(folder_ / "data.json");
  }
  std::vector<std::string> read(const std::string& text) {
    const Rows rows = open(text);
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < rows.size(); ++i) out.push_back(rows.read(i).dump());
    return out;
  }
  std::string error_of(const std::string& text) {
    try {
      read(text);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  test::TemporaryFolder folder_;
};

TEST_F(RowsOfFiles, AreTheElementsOfAnArray) {
  const std::string a = R"({"text":"a, ]\\\" [{"})", b = R"({"t":[{"x":[1,2]},{}]})";
  EXPECT_THAT(read("[" + a + "," + b + "]"), ElementsAre(a, b));
  EXPECT_THAT(read("\xef\xbb\xbf \n[\n  " + a + " ,\n  " + b + "\n]\n\n"), ElementsAre(a, b));
  EXPECT_THAT(read("[]"), ElementsAre());
  EXPECT_THAT(read("[1, \"x\"]"), ElementsAre("1", "\"x\""));
}

TEST_F(RowsOfFiles, AreLinesWhereTheFileHoldsSeveralValues) {
  const std::string row = R"({"messages":[{"role":"user"}]})";
  EXPECT_THAT(read(row + "\n\n" + row), ElementsAre(row, row));
  EXPECT_THAT(read(row), ElementsAre(row));
  EXPECT_EQ(open(row + "\n\n" + row).location(1).field, "line 3");
}

TEST_F(RowsOfFiles, AreTheOneArrayOfObjectsInAnObject) {
  const std::string head = R"({"version": 1, "tags": ["a"], "data": [)";
  EXPECT_THAT(read(head + R"({"text": "a"},)" + "\n" + R"({"text": "b"}]})"),
              ElementsAre(R"({"text":"a"})", R"({"text":"b"})"));
  EXPECT_THAT(error_of(R"({"train": [{"text": "a"}], "test": [{"text": "b"}]})"),
              HasSubstr("data.json: expected one array of rows, found \"train\" and \"test\""));
}

TEST_F(RowsOfFiles, AreOneWhereAnObjectOfSeveralLinesIsARow) {
  const Rows rows = open("{\n  \"messages\": [\n    {\"role\": \"user\"}\n  ]\n}\n");
  ASSERT_EQ(rows.size(), 1);
  EXPECT_EQ(rows.read(0).dump(), R"({"messages":[{"role":"user"}]})");
  EXPECT_EQ(rows.location(0).field, "element 1");
}

TEST_F(RowsOfFiles, NameTheElementThatIsBroken) {
  EXPECT_THAT(error_of("[{}, {\"a\": }, {}]"), HasSubstr("data.json: element 2: expected"));
  EXPECT_THAT(error_of("[{},, {}]"), HasSubstr("element 2: expected a value, found none"));
  EXPECT_THAT(error_of("[{},]"), HasSubstr("element 2: expected a value, found none"));
  EXPECT_THAT(error_of("[{} {}]"), HasSubstr("element 1: expected"));
  EXPECT_THAT(error_of("[{}, {\"a\": \"b"), HasSubstr("element 2: expected the array to end"));
  EXPECT_THAT(error_of("[{},"), HasSubstr("element 2: expected a value or ]"));
  EXPECT_THAT(error_of("[{}}"), HasSubstr("element 1: expected , or ] behind it, found }"));
  EXPECT_THAT(error_of("[{}] {}"), HasSubstr("expected the end of the file behind the array"));
  EXPECT_THAT(error_of("[{}, {]}, {}]"), HasSubstr("element 2: expected"));
}

TEST_F(RowsOfFiles, FindElementsPastTheFirstBlockOfTheFile) {
  std::string text = "[";
  for (int i = 0; i < 40000; ++i) {
    text += (i == 0 ? "" : ",\n") + std::string(R"({"text": "some words of number )") +
            std::to_string(i) + "\"}";
  }
  const Rows rows = open(text + "]");
  ASSERT_EQ(rows.size(), 40000);
  EXPECT_EQ(rows.read(39999)["text"], "some words of number 39999");
  EXPECT_EQ(rows.read(31000)["text"], "some words of number 31000");
}

}  // namespace
}  // namespace qloft::data
