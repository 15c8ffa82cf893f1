#include "table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qloft::cli {
namespace {

std::string pad(const std::string& text, std::size_t width, Align align) {
  const std::string space(width - std::min(width, text_width(text)), ' ');
  return align == Align::left ? text + space : space + text;
}

void append_line(std::string& out, const std::vector<std::string>& cells,
                 const std::vector<std::size_t>& widths, const std::vector<Column>& columns) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    line += pad(cells[i], widths[i], columns[i].align);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

}  // namespace

std::size_t text_width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

void drop_empty_columns(std::vector<Column>& columns, std::vector<std::vector<std::string>>& rows) {
  for (std::size_t c = columns.size(); c-- > 0;) {
    const auto at = static_cast<std::ptrdiff_t>(c);
    if (!std::ranges::all_of(rows, [&](const auto& row) { return row[c] == kNoValue; })) continue;
    columns.erase(columns.begin() + at);
    for (auto& row : rows) row.erase(row.begin() + at);
  }
}

std::string format_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::string> titles, rules;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t width = text_width(columns[i].title);
    for (const auto& row : rows) width = std::max(width, text_width(row[i]));
    widths.push_back(width);
    titles.push_back(columns[i].title);
    rules.emplace_back(width, '-');
  }
  std::string out;
  append_line(out, titles, widths, columns);
  append_line(out, rules, widths, columns);
  for (const auto& row : rows) append_line(out, row, widths, columns);
  return out;
}

std::string format_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::size_t width = 0;
  for (const auto& [name, value] : pairs) width = std::max(width, text_width(name));
  std::string out;
  for (const auto& [name, value] : pairs) {
    out += pad(name, width, Align::left) + "  " + value + "\n";
  }
  return out;
}

std::string format_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 999.95 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

}  // namespace qloft::cli
