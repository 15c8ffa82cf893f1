#include "qloft/data/table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "labels.h"
#include "qloft/core/file.h"
#include "qloft/data/csv.h"
#include "qloft/data/rows.h"

namespace qloft::data {

struct Table::State {
  std::filesystem::path file;
  std::optional<Rows> json;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::int64_t> lines;  // where each row begins
  std::int64_t names_line = 1;
};

namespace {

std::vector<CsvRecord> split_at_tabs(const std::string& text) {
  std::vector<CsvRecord> out;
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    ++line;
    std::size_t stop = end;
    if (stop > begin && text[stop - 1] == '\r') --stop;
    if (stop > begin) {
      CsvRecord record{{}, line};
      for (std::size_t at = begin; at <= stop;) {
        const std::size_t tab = std::min(text.find('\t', at), stop);
        record.fields.push_back(text.substr(at, tab - at));
        at = tab + 1;
      }
      out.push_back(std::move(record));
    }
    begin = end + 1;
  }
  return out;
}

std::string without_mark(std::string text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

}  // namespace

Table::Table(const std::filesystem::path& file, const std::vector<std::string>& columns) {
  auto state = std::make_shared<State>();
  state->file = file;
  const auto end = file.extension();
  if (end != ".tsv" && end != ".csv") {
    state->json.emplace(file);
    state_ = std::move(state);
    return;
  }
  std::vector<CsvRecord> records =
      end == ".tsv" ? split_at_tabs(without_mark(read_file(file))) : read_csv(file);
  const bool names_itself =
      columns.empty() || (!records.empty() && records.front().fields == columns);
  state->columns = columns;
  if (names_itself && !records.empty()) {
    state->names_line = records.front().line;
    state->columns = std::move(records.front().fields);
    records.erase(records.begin());
  }
  if (records.empty()) throw InputError({file, {}}, "expected at least one row, found none");
  for (CsvRecord& record : records) {
    if (record.fields.size() != state->columns.size()) {
      throw InputError({file, "line " + std::to_string(record.line)},
                       "expected " + std::to_string(state->columns.size()) + " columns (" +
                           list_of(state->columns) + "), found " +
                           std::to_string(record.fields.size()));
    }
    state->lines.push_back(record.line);
    state->rows.push_back(std::move(record.fields));
  }
  state_ = std::move(state);
}

std::int64_t Table::size() const {
  return state_->json ? state_->json->size() : std::ssize(state_->rows);
}

std::vector<std::string> Table::columns() const {
  if (!state_->json) return state_->columns;
  std::vector<std::string> names;
  if (size() == 0) return names;
  const io::Json first = state_->json->read(0);
  if (!first.is_object()) return names;
  for (const auto& [name, value] : first.items()) names.push_back(name);
  return names;
}

bool Table::has(const std::string& column) const {
  const std::vector<std::string> names = columns();
  return std::ranges::find(names, column) != names.end();
}

ErrorLocation Table::names_location() const {
  if (state_->json) return state_->json->location(0);
  return {state_->file, "line " + std::to_string(state_->names_line)};
}

ErrorLocation Table::location(std::int64_t row) const {
  if (state_->json) return state_->json->location(row);
  return {state_->file, "line " + std::to_string(state_->lines[static_cast<std::size_t>(row)])};
}

std::string Table::text(std::int64_t row, const std::string& column) const {
  if (!state_->json) {
    const auto found = std::ranges::find(state_->columns, column);
    if (found == state_->columns.end()) {
      throw InputError(location(row),
                       "expected a column '" + column + "', found " + list_of(state_->columns));
    }
    const auto at = static_cast<std::size_t>(found - state_->columns.begin());
    return state_->rows[static_cast<std::size_t>(row)][at];
  }
  const io::Json json = state_->json->read(row);
  ErrorLocation where = state_->json->location(row);
  where.field += ": " + column;
  const auto found = json.is_object() ? json.find(column) : json.end();
  if (!json.is_object() || found == json.end()) {
    throw InputError(where, "expected this member, found none");
  }
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number() || found->is_boolean()) return found->dump();
  throw InputError(where, "expected a text or a number");
}

}  // namespace qloft::data
