#pragma once
// Declared fields (qloft/core/fields.h) as lines and tables for the terminal.

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "command.h"
#include "options.h"
#include "qloft/core/fields.h"
#include "qloft/io/field_json.h"
#include "table.h"

namespace qloft::cli {

std::string field_text(double value, const Shown& shown);

// "-" where an optional is empty; of a list, how long it is.
template <typename T>
std::string field_text(const T& field, const Shown& shown) {
  if constexpr (is_optional<T>) {
    return field ? field_text(*field, shown) : kNoValue;
  } else if constexpr (is_vector<T>) {
    return std::to_string(field.size());
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return field.string();
  } else if constexpr (std::is_same_v<T, std::string>) {
    return field;
  } else if constexpr (std::is_same_v<T, bool>) {
    return field ? "yes" : "no";
  } else if constexpr (std::is_arithmetic_v<T>) {
    if (shown.as == Shown::As::text) return fmt::format("{}", field);
    return field_text(static_cast<double>(field), shown);
  } else {
    return {};
  }
}

class FieldCells {
 public:
  template <typename T>
  void operator()(const std::string&, const T& field, const Shown& shown = {}) {
    if (shown.as == Shown::As::nothing) return;
    const std::string text = field_text(field, shown);
    cells.emplace_back(shown.label, text);
    is_text.push_back(std::is_same_v<T, std::string>);
  }
  std::vector<std::pair<std::string, std::string>> cells;
  std::vector<bool> is_text;
};

// A line a field; those that are empty are left out.
template <typename Report>
std::string format_fields(Report report) {
  FieldCells visitor;
  visit_fields(report, visitor);
  std::erase_if(visitor.cells, [](const auto& cell) { return cell.second == kNoValue; });
  return format_pairs(visitor.cells);
}

// A row of the table an item, a column a field, after those of `names`; columns that are empty in
// all rows are left out.
template <typename Item>
std::string format_rows(const std::string& title, const std::vector<std::string>& names,
                        const std::vector<Item>& items) {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < items.size(); ++i) {
    FieldCells visitor;
    Item copy = items[i];
    visit_fields(copy, visitor);
    rows.emplace_back();
    if (!title.empty()) rows.back().push_back(names[i]);
    if (i == 0 && !title.empty()) columns.push_back({title, Align::left});
    for (std::size_t c = 0; c < visitor.cells.size(); ++c) {
      if (i == 0) {
        columns.push_back(
            {visitor.cells[c].first, visitor.is_text[c] ? Align::left : Align::right});
      }
      rows.back().push_back(visitor.cells[c].second);
    }
  }
  drop_empty_columns(columns, rows);
  return format_table(columns, rows);
}
template <typename Item>
std::string format_rows(const std::vector<Item>& items) {
  return format_rows("", {}, items);
}

// The report's fields and the options that it was made with.
template <typename Report, typename Options>
Json report_json(const Report& report, Options& options) {
  Json json = io::fields_to_json(report);
  OptionEcho echo(json["options"]);
  visit_options(options, echo);
  return json;
}

}  // namespace qloft::cli
