// The table of a comparison: for people, as Markdown, as CSV.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "qloft/pipeline/compare.h"

namespace qloft::pipeline {
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

std::string solved(const CompareScores& scores) {
  if (!scores.accuracy) return kNone;
  return fixed(100 * *scores.accuracy, 1) + " ± " +
         fixed(100 * scores.standard_error.value_or(0), 1);
}

struct Reading {
  std::string title;
  std::function<std::string(const CompareRow&)> text;
};

const std::vector<Reading>& readings() {
  static const std::vector<Reading> table = {
      {"bits", [](const CompareRow& r) { return fixed(r.bits_per_weight, 3); }},
      {"size", [](const CompareRow& r) { return bytes_text(static_cast<double>(r.bytes)); }},
      {"rank", [](const CompareRow& r) { return r.rank > 0 ? std::to_string(r.rank) : kNone; }},
      {"T",
       [](const CompareRow& r) { return r.iterations ? std::to_string(*r.iterations) : kNone; }},
      {"error", [](const CompareRow& r) { return fixed(r.relative_error, 4); }},
      {"perplexity", [](const CompareRow& r) { return fixed(r.before.perplexity, 2); }},
      {"perplexity, tuned",
       [](const CompareRow& r) { return r.after ? fixed(r.after->perplexity, 2) : kNone; }},
      {"answer loss", [](const CompareRow& r) { return fixed(r.before.loss, 4); }},
      {"answer loss, tuned",
       [](const CompareRow& r) { return r.after ? fixed(r.after->loss, 4) : kNone; }},
      {"solved %", [](const CompareRow& r) { return solved(r.before); }},
      {"solved %, tuned", [](const CompareRow& r) { return r.after ? solved(*r.after) : kNone; }},
      {"quantize s",
       [](const CompareRow& r) { return r.relative_error ? fixed(r.quantize_seconds, 1) : kNone; }},
      {"quantize peak",
       [](const CompareRow& r) {
         return r.relative_error ? bytes_text(static_cast<double>(r.quantize_peak_memory)) : kNone;
       }},
      {"tune s", [](const CompareRow& r) { return r.after ? fixed(r.tune_seconds, 1) : kNone; }},
      {"tune memory",
       [](const CompareRow& r) { return r.memory ? bytes_text(r.memory->total()) : kNone; }},
  };
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

CompareTable compare_table(const CompareReport& report) {
  CompareTable table;
  table.columns.push_back({"row", false});
  for (const CompareRow& row : report.rows) table.rows.push_back({row.name});
  for (const Reading& reading : readings()) {
    std::vector<std::string> texts;
    for (const CompareRow& row : report.rows) texts.push_back(reading.text(row));
    if (std::all_of(texts.begin(), texts.end(), [](const auto& text) { return text == kNone; })) {
      continue;
    }
    table.columns.push_back({reading.title, true});
    for (std::size_t i = 0; i < texts.size(); ++i) table.rows[i].push_back(std::move(texts[i]));
  }
  return table;
}

std::string to_markdown(const CompareTable& table) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string out = "|";
    for (const std::string& cell : cells) out += " " + markdown_cell(cell) + " |";
    return out + "\n";
  };
  std::vector<std::string> titles, rules;
  for (const CompareTable::Column& column : table.columns) {
    titles.push_back(column.title);
    rules.push_back(column.number ? "---:" : "---");
  }
  std::string out = line(titles) + line(rules);
  for (const auto& row : table.rows) out += line(row);
  return out;
}

std::string to_csv(const CompareReport& report) {
  std::string out =
      "name,group,method,format,rank,iterations,bits_per_weight,bytes,relative_error,"
      "perplexity,perplexity_tuned,loss,loss_tuned,accuracy,accuracy_standard_error,"
      "accuracy_tuned,accuracy_tuned_standard_error,quantize_seconds,quantize_peak_memory,"
      "tune_seconds,tune_steps,training_memory\n";
  for (const CompareRow& row : report.rows) {
    const CompareScores after = row.after.value_or(CompareScores{});
    const bool quantized = row.relative_error.has_value(), tuned = row.after.has_value();
    const std::vector<std::string> cells = {csv_cell(row.name),
                                            csv_cell(row.group),
                                            csv_cell(row.method),
                                            csv_cell(row.format),
                                            digits(row.rank),
                                            digits(row.iterations),
                                            digits(row.bits_per_weight),
                                            digits(row.bytes),
                                            digits(row.relative_error),
                                            digits(row.before.perplexity),
                                            digits(after.perplexity),
                                            digits(row.before.loss),
                                            digits(after.loss),
                                            digits(row.before.accuracy),
                                            digits(row.before.standard_error),
                                            digits(after.accuracy),
                                            digits(after.standard_error),
                                            quantized ? digits(row.quantize_seconds) : "",
                                            quantized ? digits(row.quantize_peak_memory) : "",
                                            tuned ? digits(row.tune_seconds) : "",
                                            tuned ? digits(row.tune_steps) : "",
                                            row.memory ? digits(row.memory->total()) : ""};
    for (std::size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + cells[i];
    out += "\n";
  }
  return out;
}

}  // namespace qloft::pipeline
