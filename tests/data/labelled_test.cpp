#include "qloft/data/labelled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "qloft/core/error.h"
#include "qloft/data/table.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using ::testing::HasSubstr;

std::filesystem::path write_table(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file) << text;
  return file;
}

std::string refusal(const LabelTask& task, const std::filesystem::path& file) {
  try {
    read_labelled(task, file);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

class Tables : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(Tables, OfTabsKnowNoQuotes) {
  const Table table(write_table(folder_ / "a.tsv", "sentence\tlabel\r\n\"so\" it said\t1\n\nx\t0"));
  ASSERT_EQ(table.size(), 2);
  EXPECT_EQ(table.text(0, "sentence"), "\"so\" it said");
  EXPECT_EQ(table.text(0, "label"), "1");
  EXPECT_EQ(table.location(1).field, "line 4");
}

TEST_F(Tables, OfCommasHaveQuotedValues) {
  const Table table(write_table(folder_ / "a.csv", "a,b\n\"x, \"\"y\"\"\nz\",2\n,\"\"\nlast,4\n"));
  ASSERT_EQ(table.size(), 3);
  EXPECT_EQ(table.text(0, "a"), "x, \"y\"\nz");
  EXPECT_EQ(table.text(1, "b"), "");
  EXPECT_EQ(table.location(2).field, "line 5");
}

TEST_F(Tables, OfJsonHaveMembersAsColumns) {
  const Table table(write_table(folder_ / "a.jsonl", "{\"a\": \"x\", \"n\": 3, \"b\": true}\n"));
  EXPECT_EQ(table.text(0, "a"), "x");
  EXPECT_EQ(table.text(0, "n"), "3");
  EXPECT_EQ(table.text(0, "b"), "true");
  EXPECT_TRUE(table.has("n"));
  EXPECT_FALSE(table.has("c"));
}

TEST_F(Tables, NameTheLineWithAnotherNumberOfColumns) {
  try {
    Table(write_table(folder_ / "a.tsv", "a\tb\n1\t2\n3\n"));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.tsv: line 3: expected 2 columns (a, b), found 1"));
  }
}

TEST_F(Tables, WithoutARowAreRefused) {
  EXPECT_THROW(Table(write_table(folder_ / "a.tsv", "a\tb\n")), InputError);
  EXPECT_THROW(Table(write_table(folder_ / "b.csv", "\"a")), InputError);
}

TEST_F(Tables, GiveColaItsColumns) {
  const auto rows = read_labelled(*find_label_task("cola"),
                                  write_table(folder_ / "a.tsv", "gj04\t0\t*\tThey drank.\n"));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].first, "They drank.");
  EXPECT_EQ(rows[0].label, 0);
  EXPECT_FALSE(rows[0].second.has_value());
}

TEST_F(Tables, GiveRtePairsAndNamedLabels) {
  const auto rows =
      read_labelled(*find_label_task("rte"),
                    write_table(folder_ / "a.tsv",
                                "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n"));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].second, "B.");
  EXPECT_EQ(rows[0].label, 1);
}

TEST_F(Tables, GiveStsbNumbers) {
  const auto file = write_table(folder_ / "a.csv", "sentence1,sentence2,score\nA,B,2.5\n");
  EXPECT_EQ(read_labelled(*find_label_task("stsb"), file)[0].label, 2.5);
}

TEST_F(Tables, NameALabelThatTheTaskLacks) {
  const auto file = write_table(folder_ / "a.tsv", "sentence\tlabel\nfine\t1\nwell\t2\n");
  EXPECT_THAT(refusal(*find_label_task("sst2"), file),
              HasSubstr("line 3: label: expected one of negative, positive, or its place below 2, "
                        "found '2'"));
}

TEST_F(Tables, NameAColumnThatIsMissing) {
  const auto file = write_table(folder_ / "a.tsv", "text\tlabel\nfine\t1\n");
  EXPECT_THAT(refusal(*find_label_task("sst2"), file), HasSubstr("expected a column 'sentence'"));
}

TEST(LabelTasks, AreAsManyAsTheRows) {
  EXPECT_EQ(label_tasks().size(), kLabelTasks);
  EXPECT_EQ(find_label_task("sst3"), nullptr);
}

}  // namespace
}  // namespace qloft::data
