#include <gtest/gtest.h>

#include "../../src/cli/table.h"
#include "../../src/cli/terminal_progress.h"

namespace qloft::cli {
namespace {

TEST(Table, LinesUpColumnsByCodePoints) {
  EXPECT_EQ(
      format_table({{"name", Align::left}, {"bits"}}, {{"\xc3\xa9t\xc3\xa9", "2.5"}, {"a", "16"}}),
      "name  bits\n"
      "----  ----\n"
      "\xc3\xa9t\xc3\xa9    2.5\n"
      "a       16\n");
}

TEST(Table, LeavesOutColumnsWithoutAValue) {
  std::vector<Column> columns = {{"name", Align::left}, {"bits"}, {"gram"}};
  std::vector<std::vector<std::string>> rows = {{"a", "-", "-"}, {"b", "2", "-"}};
  drop_empty_columns(columns, rows);
  EXPECT_EQ(format_table(columns, rows), "name  bits\n----  ----\na        -\nb        2\n");
}

TEST(ShortNumber, HasThreeSignificantDigits) {
  const struct {
    double value;
    const char* text;
  } cases[] = {{0, "0.00"},     {0.1234, "0.123"}, {1.234, "1.23"},
               {12.34, "12.3"}, {123.4, "123"},    {1234, "1.23k"},
               {9.999, "10.0"}, {999.9, "1.00k"},  {2.5e9, "2.50G"}};
  for (const auto& c : cases) EXPECT_EQ(short_number(c.value), c.text);
}

TEST(ClockTime, RoundsUpToSeconds) {
  EXPECT_EQ(clock_time(0), "0:00");
  EXPECT_EQ(clock_time(6.2), "0:07");
  EXPECT_EQ(clock_time(754), "12:34");
  EXPECT_EQ(clock_time(12300), "3:25:00");
}

TEST(FormatBytes, UsesDecimalUnits) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(5.2e6), "5.2 MB");
  EXPECT_EQ(format_bytes(13.5e9), "13.5 GB");
}

TEST(TerminalProgress, PrintsPlainLinesWhereThereIsNoTerminal) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  {
    TerminalProgress progress(ProgressStyle::lines, stream);
    progress.begin("quantize", 2, "matrices");
    progress.update(1, "q_proj");
    progress.update(2, "done");
    progress.end();
    progress.warn("half");
  }
  std::fclose(stream);
  const std::string out(text, size);
  std::free(text);
  EXPECT_NE(out.find("quantize    2/2 matrices"), std::string::npos) << out;
  EXPECT_NE(out.find("warning: half\n"), std::string::npos) << out;
  EXPECT_EQ(out.find('\033'), std::string::npos) << out;
}

}  // namespace
}  // namespace qloft::cli
