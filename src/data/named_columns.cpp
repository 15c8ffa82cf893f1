#include "qloft/data/named_columns.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "labels.h"
#include "qloft/core/error.h"
#include "qloft/data/table.h"

namespace qloft::data {
namespace {

using Names = std::vector<std::string>;

// As run_glue.py of transformers knows them.
const std::array kKnownTexts = {Names{"sentence1", "sentence2"},
                                Names{"premise", "hypothesis"},
                                Names{"question1", "question2"},
                                Names{"question", "sentence"},
                                Names{"sentence"},
                                Names{"text"}};
constexpr std::array kNoTexts = {"idx", "id", "index", ""};

Table table_with_rows(const std::filesystem::path& file) {
  Table table(file);
  if (table.size() == 0) throw InputError({file, {}}, "expected at least one row, found none");
  return table;
}

void expect_column(const Table& table, const std::string& column) {
  if (table.has(column)) return;
  ErrorLocation where = table.names_location();
  where.field += ": " + column;
  throw InputError(where, "expected this column, found " + list_of(table.columns()));
}

std::string label_column(const NamedColumns& columns, const Table& table, bool numbers) {
  if (columns.label.empty() && numbers && !table.has("label") && table.has("score")) return "score";
  std::string column = columns.label.empty() ? "label" : columns.label;
  expect_column(table, column);
  return column;
}

Names text_columns(const NamedColumns& columns, const Table& table, const std::string& label) {
  if (!columns.text.empty()) {
    for (const std::string& column : columns.text) expect_column(table, column);
    return columns.text;
  }
  const auto has = [&](const std::string& name) { return name != label && table.has(name); };
  for (const Names& known : kKnownTexts) {
    if (std::ranges::all_of(known, has)) return known;
  }
  Names left = table.columns();
  std::erase_if(left, [&](const std::string& name) {
    return name == label || std::ranges::find(kNoTexts, name) != kNoTexts.end();
  });
  if (left.size() == 1 || left.size() == 2) return left;
  throw InputError(table.names_location(),
                   "expected the columns of one or two texts (--text-column), found " +
                       list_of(table.columns()));
}

bool is_empty(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

std::string filled_text(const Table& table, std::int64_t row, const std::string& column) {
  std::string text = table.text(row, column);
  if (!is_empty(text)) return text;
  ErrorLocation where = table.location(row);
  where.field += ": " + column;
  throw InputError(where, "expected a text, found an empty one");
}

}  // namespace

void expect_sound(const NamedColumns& columns) {
  if (columns.text.size() > 2) {
    throw InputError({{}, "text_column"},
                     "expected one or two, found " + std::to_string(columns.text.size()));
  }
  const Names& labels = columns.labels;
  if (labels.empty()) return;
  if (labels.size() == 1) throw InputError({{}, "labels"}, "expected at least two, found one");
  if (std::ranges::find(labels, "") != labels.end()) {
    throw InputError({{}, "labels"}, "expected names, found an empty one");
  }
  std::set<std::string> seen;
  for (const std::string& label : labels) {
    if (!seen.insert(label).second) {
      throw InputError({{}, "labels"}, "expected each once, found '" + label + "' twice");
    }
  }
}

std::vector<LabelledText> read_named(const NamedColumns& columns, const Names& labels,
                                     const std::filesystem::path& file) {
  expect_sound(columns);
  const Table table = table_with_rows(file);
  const std::string label = label_column(columns, table, labels.empty());
  const Names texts = text_columns(columns, table, label);
  std::vector<LabelledText> out;
  for (std::int64_t row = 0; row < table.size(); ++row) {
    LabelledText text;
    text.where = table.location(row);
    text.first = filled_text(table, row, texts.front());
    if (texts.size() > 1) text.second = filled_text(table, row, texts.back());
    text.label = label_value(labels, {}, table.text(row, label), text.where, label);
    out.push_back(std::move(text));
  }
  return out;
}

Names labels_in(const NamedColumns& columns, const std::vector<std::filesystem::path>& files) {
  std::set<std::string> found;
  for (const auto& file : files) {
    const Table table = table_with_rows(file);
    const std::string column = label_column(columns, table, false);
    for (std::int64_t row = 0; row < table.size(); ++row) {
      std::string label = table.text(row, column);
      if (is_empty(label)) {
        ErrorLocation where = table.location(row);
        where.field += ": " + column;
        throw InputError(where, "expected a label, found an empty one");
      }
      found.insert(std::move(label));
    }
  }
  Names labels(found.begin(), found.end());
  const bool numbers = std::ranges::all_of(labels, [](const auto& l) { return !!number_in(l); });
  if (numbers) {
    std::ranges::stable_sort(labels, {}, [](const std::string& l) { return *number_in(l); });
  }
  if (labels.size() < 2) {
    throw InputError({files.empty() ? std::filesystem::path() : files.front(), {}},
                     "expected at least two labels, found " + list_of(labels));
  }
  return labels;
}

}  // namespace qloft::data
