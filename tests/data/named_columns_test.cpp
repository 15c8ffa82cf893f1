#include "qloft/data/named_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "qloft/core/error.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ColumnsOfAnyFile : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  static std::string refusal(const std::function<void()>& run) {
    try {
      run();
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  test::TemporaryFolder folder_;
};

TEST_F(ColumnsOfAnyFile, AreReadByTheirNames) {
  const auto reviews = file("a.csv", "stars,review,title\nfive,\"Good, very\",Yes\n");
  const auto rows = read_named({{"title", "review"}, "stars", {}}, {"one", "five"}, reviews);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].first, "Yes");
  EXPECT_EQ(rows[0].second, "Good, very");
  EXPECT_EQ(rows[0].label, 1);
}

TEST_F(ColumnsOfAnyFile, AreFoundByTheNamesOfGlue) {
  const auto pairs =
      file("a.jsonl", R"({"premise": "A", "hypothesis": "B", "label": 1, "x": "c"})");
  const auto rows = read_named({}, {"no", "yes"}, pairs);
  EXPECT_EQ(rows[0].first, "A");
  EXPECT_EQ(rows[0].second, "B");
}

TEST_F(ColumnsOfAnyFile, AreFoundAsThoseThatAreLeft) {
  const auto rows = read_named({}, {"no", "yes"}, file("a.tsv", "idx\tlabel\treview\n0\tyes\tA\n"));
  EXPECT_EQ(rows[0].first, "A");
  EXPECT_FALSE(rows[0].second.has_value());
}

TEST_F(ColumnsOfAnyFile, AreAskedForWhereTheyCannotBeFound) {
  const auto reviews = file("a.csv", "label,title,review,country\nyes,A,B,C\n");
  EXPECT_THAT(refusal([&] {
                read_named({}, {"no", "yes"}, reviews);
              }),
              HasSubstr("a.csv: line 1: expected the columns of one or two texts (--text-column), "
                        "found label, title, review, country"));
}

TEST_F(ColumnsOfAnyFile, HaveNumbersWhereThereAreNoLabels) {
  EXPECT_EQ(read_named({}, {}, file("a.csv", "text,score\nA,-2.5\n"))[0].label, -2.5);
  EXPECT_THAT(refusal([&] { read_named({}, {}, file("b.csv", "text,label\nA,1\nB,many\n")); }),
              HasSubstr("b.csv: line 3: label: expected a number, found 'many'"));
}

TEST_F(ColumnsOfAnyFile, NameTheColumnThatIsMissing) {
  const auto table = file("a.csv", "text,label\nA,1\n");
  EXPECT_THAT(refusal([&] {
                read_named({{}, "stars", {}}, {"1", "2"}, table);
              }),
              HasSubstr("a.csv: line 1: stars: expected this column, found text, label"));
  const auto rows = file("a.jsonl", R"({"text": "A", "label": 1})");
  EXPECT_THAT(refusal([&] {
                read_named({{"review"}, {}, {}}, {"1", "2"}, rows);
              }),
              HasSubstr("a.jsonl: line 1: review: expected this column, found text, label"));
}

TEST_F(ColumnsOfAnyFile, NameTheTextThatIsEmpty) {
  const auto table = file("a.csv", "text,label\nA,1\n\" \",2\n");
  EXPECT_THAT(refusal([&] {
                read_named({}, {"1", "2"}, table);
              }),
              HasSubstr("a.csv: line 3: text: expected a text, found an empty one"));
}

TEST_F(ColumnsOfAnyFile, NameTheLabelThatTheHeadLacks) {
  const auto table = file("a.csv", "text,label\nA,good\nB,great\n");
  EXPECT_THAT(refusal([&] {
                read_named({}, {"bad", "good"}, table);
              }),
              HasSubstr("a.csv: line 3: label: expected one of bad, good, or its place below 2, "
                        "found 'great'"));
}

// The place 1 would be the label 2.
TEST_F(ColumnsOfAnyFile, HaveNoPlacesWhereLabelsAreNumbers) {
  const auto table = file("a.csv", "text,label\nA,2\nB,0\n");
  EXPECT_THAT(refusal([&] {
                read_named({}, {"1", "2"}, table);
              }),
              HasSubstr("line 3: label: expected one of 1, 2, found '0'"));
}

TEST_F(ColumnsOfAnyFile, GiveTheLabelsThatAHeadLearns) {
  const auto words = file("a.csv", "text,label\nA,good\nB,bad\nC,good\n");
  EXPECT_THAT(labels_in({}, {words}), ElementsAre("bad", "good"));
  const auto numbers = file("b.csv", "text,label\nA,10\nB,9\n");
  EXPECT_THAT(labels_in({}, {numbers}), ElementsAre("9", "10"));
  EXPECT_THAT(labels_in({}, {words, numbers}), ElementsAre("10", "9", "bad", "good"));
  EXPECT_THAT(refusal([&] { labels_in({}, {file("c.csv", "text,label\nA,1\n")}); }),
              HasSubstr("c.csv: expected at least two labels, found 1"));
}

TEST_F(ColumnsOfAnyFile, TakeSoundLabelsAndTextsOnly) {
  const auto refused = [](const NamedColumns& columns) {
    return refusal([&] { expect_sound(columns); });
  };
  EXPECT_EQ(refused({{}, {}, {"a"}}), "labels: expected at least two, found one");
  EXPECT_EQ(refused({{}, {}, {"a", "b", "a"}}), "labels: expected each once, found 'a' twice");
  EXPECT_EQ(refused({{}, {}, {"a", ""}}), "labels: expected names, found an empty one");
  EXPECT_EQ(refused({{"a", "b", "c"}, {}, {}}), "text_column: expected one or two, found 3");
}

}  // namespace
}  // namespace qloft::data
