// The table of a comparison: for people, as Markdown, as CSV.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "qloft/compare.h"
#include "qloft/evaluate/task.h"

namespace qloft::compare {
namespace {

constexpr const char* kNone = "-";

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}
std::string fixed(const std::optional<double>& value, int decimals) {
  return value ? fixed(*value, decimals) : kNone;
}

// "1.2 MB": decimal units.
std::string bytes_text(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.95 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fixed(bytes, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string score_text(const evaluate::ScoreInfo& info, const evaluate::Scores& scores) {
  const auto value = scores.find(info.key);
  if (!value) return kNone;
  const double unit = info.unit == evaluate::Unit::share ? 100 : 1;
  std::string text = fixed(unit * *value, info.compared->decimals);
  if (const auto error = scores.find(info.error)) {
    text += " ± " + fixed(unit * *error, info.compared->decimals);
  }
  return text;
}

struct Reading {
  std::string title;
  std::function<std::string(const Row&)> text;
};

std::vector<Reading> readings() {
  std::vector<Reading> table = {
      {"bits", [](const Row& r) { return fixed(r.bits_per_weight, 3); }},
      {"size", [](const Row& r) { return bytes_text(static_cast<double>(r.bytes)); }},
      {"rank", [](const Row& r) { return r.rank > 0 ? std::to_string(r.rank) : kNone; }},
      {"T", [](const Row& r) { return r.iterations ? std::to_string(*r.iterations) : kNone; }},
      {"error", [](const Row& r) { return fixed(r.relative_error, 4); }},
  };
  for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
    const std::string& title = info.compared->column;
    table.push_back({title, [info](const Row& r) { return score_text(info, r.before); }});
    table.push_back({title + ", tuned", [info](const Row& r) {
                       return r.after ? score_text(info, *r.after) : kNone;
                     }});
  }
  const std::vector<Reading> costs = {
      {"quantize s",
       [](const Row& r) { return r.relative_error ? fixed(r.quantize_seconds, 1) : kNone; }},
      {"quantize peak",
       [](const Row& r) {
         return r.relative_error ? bytes_text(static_cast<double>(r.quantize_peak_memory)) : kNone;
       }},
      {"tune s", [](const Row& r) { return r.after ? fixed(r.tune_seconds, 1) : kNone; }},
      {"tune memory",
       [](const Row& r) { return r.memory ? bytes_text(r.memory->total()) : kNone; }},
  };
  table.insert(table.end(), costs.begin(), costs.end());
  return table;
}

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

// A number with all its digits, or nothing.
template <typename T>
std::string digits(const T& value) {
  return io::Json(value).dump();
}
template <typename T>
std::string digits(const std::optional<T>& value) {
  return value ? digits(*value) : "";
}

}  // namespace

Table table_of(const Report& report) {
  Table table;
  table.columns.push_back({"row", false});
  for (const Row& row : report.rows) table.rows.push_back({row.name});
  for (const Reading& reading : readings()) {
    std::vector<std::string> texts;
    for (const Row& row : report.rows) texts.push_back(reading.text(row));
    if (std::all_of(texts.begin(), texts.end(), [](const auto& text) { return text == kNone; })) {
      continue;
    }
    table.columns.push_back({reading.title, true});
    for (std::size_t i = 0; i < texts.size(); ++i) table.rows[i].push_back(std::move(texts[i]));
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
  const auto infos = evaluate::compared_scores();
  std::vector<std::string> titles = {"name",          "group",      "method",          "format",
                                     "rank",          "iterations", "bits_per_weight", "bytes",
                                     "relative_error"};
  for (const evaluate::ScoreInfo& info : infos) {
    for (const std::string& title : {info.key, info.key + "_tuned"}) {
      titles.push_back(title);
      if (!info.error.empty()) titles.push_back(title + "_standard_error");
    }
  }
  for (const char* title : {"quantize_seconds", "quantize_peak_memory", "tune_seconds",
                            "tune_steps", "training_memory"}) {
    titles.emplace_back(title);
  }
  std::string out = csv_line(titles);
  for (const Row& row : report.rows) {
    const bool quantized = row.relative_error.has_value(), tuned = row.after.has_value();
    std::vector<std::string> cells = {
        csv_cell(row.name),          csv_cell(row.group), csv_cell(row.method),
        csv_cell(row.format),        digits(row.rank),    digits(row.iterations),
        digits(row.bits_per_weight), digits(row.bytes),   digits(row.relative_error)};
    for (const evaluate::ScoreInfo& info : infos) {
      for (const evaluate::Scores& scores : {row.before, row.after.value_or(evaluate::Scores{})}) {
        cells.push_back(digits(scores.find(info.key)));
        if (!info.error.empty()) cells.push_back(digits(scores.find(info.error)));
      }
    }
    cells.push_back(quantized ? digits(row.quantize_seconds) : "");
    cells.push_back(quantized ? digits(row.quantize_peak_memory) : "");
    cells.push_back(tuned ? digits(row.tune_seconds) : "");
    cells.push_back(tuned ? digits(row.tune_steps) : "");
    cells.push_back(row.memory ? digits(row.memory->total()) : "");
    out += csv_line(cells);
  }
  return out;
}

}  // namespace qloft::compare
