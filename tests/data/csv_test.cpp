#include "qloft/data/csv.h"

#include <gtest/gtest.h>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

std::vector<CsvRecord> read(const std::string& text) {
  const test::TemporaryFolder folder;
  write_file(folder / "a.csv", text);
  return read_csv(folder / "a.csv");
}

TEST(Csv, TakesQuotedFieldsApart) {
  const auto records = read(
      "\xEF\xBB\xBF"
      "a,\"b, \"\"c\"\"\nd\",\r\n\nx,y \"z\",\"\"");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].fields, (std::vector<std::string>{"a", "b, \"c\"\nd", ""}));
  EXPECT_EQ(records[0].line, 1);
  EXPECT_EQ(records[1].fields, (std::vector<std::string>{"x", "y \"z\"", ""}));
  EXPECT_EQ(records[1].line, 4);
}

TEST(Csv, NamesTheLineOfABrokenQuote) {
  const auto refusal = [](const std::string& text) -> std::string {
    try {
      read(text);
    } catch (const InputError& error) {
      return error.location().field;
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("a\nb,\"c\n"), "line 2");
  EXPECT_EQ(refusal("\"a\"b"), "line 1");
  EXPECT_EQ(refusal(""), "accepted");
}

}  // namespace
}  // namespace qloft::data
