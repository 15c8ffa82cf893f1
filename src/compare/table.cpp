// The table of a comparison: for people, as Markdown, as CSV.

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/compare.h"
#include "row_fields.h"

namespace qloft::compare {
namespace {

constexpr const char* kNone = "-";
constexpr std::string_view kRecovered = "recovered";

std::string decimal(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

// "1.2 MB": decimal units.
std::string bytes_text(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.95 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return decimal(bytes, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string score_text(const evaluate::ScoreInfo& info, const evaluate::Scores& scores) {
  const auto value = scores.find(info.key);
  if (!value) return kNone;
  const double unit = info.unit == evaluate::Unit::share ? 100 : 1;
  std::string text = decimal(unit * *value, info.compared->decimals);
  if (const auto error = scores.find(info.error)) {
    text += " ± " + decimal(unit * *error, info.compared->decimals);
  }
  return text;
}

// Titles and cells of a row for people: the fields that say how they are shown, and three columns a
// score: as quantized, recovered, tuned.
class CellVisitor {
 public:
  template <typename T>
  void operator()(const std::string&, const T& field, const Shown& shown = {}) {
    if (!shown.label.empty()) cells.emplace_back(shown.label, text_of(field, shown));
  }
  void operator()(const std::string&, const evaluate::Scores& before) { before_ = &before; }
  void operator()(const std::string& key, const std::optional<evaluate::Scores>& scores) {
    if (key == kRecovered) {
      recovered_ = &scores;
      return;
    }
    for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
      const std::string& title = info.compared->column;
      cells.emplace_back(title, score_text(info, *before_));
      cells.emplace_back(title + ", recovered",
                         *recovered_ ? score_text(info, **recovered_) : kNone);
      cells.emplace_back(title + ", tuned", scores ? score_text(info, *scores) : kNone);
    }
  }

  std::vector<std::pair<std::string, std::string>> cells;

 private:
  static std::string text_of(const std::string& field, const Shown&) { return field; }
  template <typename T>
  static std::string text_of(const std::vector<T>&, const Shown&) {
    return kNone;
  }
  static std::string text_of(const architecture::TrainingMemory& field, const Shown& shown) {
    return text_of(field.total(), shown);
  }
  template <typename T>
  static std::string text_of(const std::optional<T>& field, const Shown& shown) {
    return field ? text_of(*field, shown) : kNone;
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  static std::string text_of(T field, const Shown& shown) {
    switch (shown.as) {
      case Shown::As::absent:
        return kNone;
      case Shown::As::bytes:
        return bytes_text(static_cast<double>(field));
      case Shown::As::fixed:
        return decimal(static_cast<double>(field), shown.decimals);
      default:
        return io::Json(field).dump();
    }
  }

  const evaluate::Scores* before_ = nullptr;
  const std::optional<evaluate::Scores>* recovered_ = nullptr;
};

// A text within a cell of a Markdown table.
std::string markdown_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + cells[i];
  return out + "\n";
}

// Titles and cells of every field that is one value, numbers with all their digits; a cell is empty
// where the field says nothing of the row.
class CsvVisitor {
 public:
  template <typename T>
  void operator()(const std::string& key, const T& field, const Shown& shown = {}) {
    titles.push_back(key);
    cells.push_back(shown.as == Shown::As::absent ? "" : cell(field));
    always.push_back(true);
  }
  void operator()(const std::string&, const std::vector<RowMatrix>&) {}
  void operator()(const std::string&, const evaluate::Scores& before) { before_ = &before; }
  void operator()(const std::string& key, const std::optional<evaluate::Scores>& scores) {
    if (key == kRecovered) {
      recovered_ = &scores;
      return;
    }
    for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
      add(info, info.key, *before_);
      add(info, info.key + "_recovered", recovered_->value_or(evaluate::Scores{}));
      add(info, info.key + "_tuned", scores.value_or(evaluate::Scores{}));
    }
  }

  std::vector<std::string> titles, cells;
  std::vector<bool> always;  // whether the column is there where no row has a value

 private:
  static std::string cell(const std::string& text) { return csv_cell(text); }
  static std::string cell(const architecture::TrainingMemory& memory) {
    return cell(memory.total());
  }
  template <typename T>
  static std::string cell(const std::optional<T>& value) {
    return value ? cell(*value) : "";
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  static std::string cell(T value) { return io::Json(value).dump(); }
  void add(const evaluate::ScoreInfo& info, const std::string& title,
           const evaluate::Scores& scores) {
    titles.push_back(title);
    cells.push_back(cell(scores.find(info.key)));
    always.push_back(info.compared->always);
    if (info.error.empty()) return;
    titles.push_back(title + "_standard_error");
    cells.push_back(cell(scores.find(info.error)));
    always.push_back(info.compared->always);
  }

  const evaluate::Scores* before_ = nullptr;
  const std::optional<evaluate::Scores>* recovered_ = nullptr;
};

template <typename Visitor>
Visitor visited(Row row) {
  Visitor visitor;
  visit_fields(row, visitor);
  return visitor;
}

}  // namespace

Table table_of(const Report& report) {
  std::vector<std::vector<std::pair<std::string, std::string>>> rows;
  for (const Row& row : report.rows) rows.push_back(visited<CellVisitor>(row).cells);
  Table table;
  table.rows.resize(rows.size());
  const std::size_t columns = rows.empty() ? 0 : rows.front().size();
  for (std::size_t c = 0; c < columns; ++c) {
    if (std::ranges::all_of(rows, [c](const auto& row) { return row[c].second == kNone; })) {
      continue;
    }
    table.columns.push_back({rows.front()[c].first, c > 0});
    for (std::size_t i = 0; i < rows.size(); ++i) table.rows[i].push_back(rows[i][c].second);
  }
  return table;
}

std::string to_markdown(const Table& table) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string out = "|";
    for (const std::string& cell : cells) out += " " + markdown_cell(cell) + " |";
    return out + "\n";
  };
  std::vector<std::string> titles, rules;
  for (const Table::Column& column : table.columns) {
    titles.push_back(column.title);
    rules.push_back(column.number ? "---:" : "---");
  }
  std::string out = line(titles) + line(rules);
  for (const auto& row : table.rows) out += line(row);
  return out;
}

std::string to_csv(const Report& report) {
  const auto head = visited<CsvVisitor>(Row{});
  std::vector<std::vector<std::string>> rows;
  for (const Row& row : report.rows) rows.push_back(visited<CsvVisitor>(row).cells);
  const auto line = [&](const std::vector<std::string>& all) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < all.size(); ++c) {
      const bool filled =
          std::ranges::any_of(rows, [&](const auto& row) { return !row[c].empty(); });
      if (head.always[c] || filled) cells.push_back(all[c]);
    }
    return csv_line(cells);
  };
  std::string out = line(head.titles);
  for (const auto& row : rows) out += line(row);
  return out;
}

}  // namespace qloft::compare
