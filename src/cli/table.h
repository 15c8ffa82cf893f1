#pragma once
// Tables that line up.

#include <string>
#include <vector>

namespace qloft::cli {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::right;
};

// What a cell says that has no value.
inline constexpr const char* kNoValue = "-";
// Leaves out the columns without a value in any row.
void drop_empty_columns(std::vector<Column>& columns, std::vector<std::vector<std::string>>& rows);

// A header line, a rule and one line a row; two spaces between columns, none at the end of a line.
std::string format_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows);

// Two columns without a header: names and values.
std::string format_pairs(const std::vector<std::pair<std::string, std::string>>& pairs);

// "531.2 MB": decimal units.
std::string format_bytes(double bytes);

// The number of terminal columns of a UTF-8 text, one a code point.
std::size_t text_width(const std::string& text);

}  // namespace qloft::cli
