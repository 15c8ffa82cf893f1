#include "qloft/data/labelled.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "labels.h"
#include "qloft/core/threads.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/table.h"

namespace qloft::data {
namespace {

// The first of the names that the table has.
std::string column_of(const Table& table, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (table.has(name)) return name;
  }
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "'" : " or '") + name + "'";
  ErrorLocation where = table.location(0);
  throw InputError(where, "expected a column " + all + ", found none of that name");
}

}  // namespace

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

double label_value(const std::vector<std::string>& labels, const std::vector<std::string>& aliases,
                   const std::string& text, const ErrorLocation& row, const std::string& column) {
  ErrorLocation where = row;
  where.field += ": " + column;
  const std::optional<double> number = number_in(text);
  if (labels.empty()) {
    if (!number) throw InputError(where, "expected a number, found '" + text + "'");
    return *number;
  }
  for (const auto* names : {&labels, &aliases}) {
    const auto named = std::ranges::find(*names, text);
    if (named != names->end()) return static_cast<double>(named - names->begin());
  }
  const bool places = std::ranges::none_of(labels, [](const auto& l) { return !!number_in(l); });
  const auto count = static_cast<double>(labels.size());
  if (places && number && *number >= 0 && *number < count && *number == std::floor(*number)) {
    return *number;
  }
  throw InputError(where, "expected one of " + list_of(labels) +
                              (places ? ", or its place below " + std::to_string(labels.size())
                                      : std::string()) +
                              ", found '" + text + "'");
}

const std::vector<LabelTask>& label_tasks() {
  static const std::vector<LabelTask> rows = {
      {.name = "cola",
       .title = "CoLA",
       .first = {"sentence"},
       .second = {},
       .label = {"label"},
       .labels = {"unacceptable", "acceptable"},
       .aliases = {},
       .columns = {"source", "label", "mark", "sentence"}},
      {.name = "sst2",
       .title = "SST-2",
       .first = {"sentence"},
       .second = {},
       .label = {"label"},
       .labels = {"negative", "positive"},
       .aliases = {},
       .columns = {}},
      {.name = "mrpc",
       .title = "MRPC",
       .first = {"sentence1", "#1 String"},
       .second = {"sentence2", "#2 String"},
       .label = {"label", "Quality"},
       .labels = {"not_equivalent", "equivalent"},
       .aliases = {},
       .columns = {}},
      {.name = "stsb",
       .title = "STS-B",
       .first = {"sentence1"},
       .second = {"sentence2"},
       .label = {"label", "score"},
       .labels = {},
       .aliases = {},
       .columns = {}},
      {.name = "qqp",
       .title = "QQP",
       .first = {"question1"},
       .second = {"question2"},
       .label = {"label", "is_duplicate"},
       .labels = {"not_duplicate", "duplicate"},
       .aliases = {},
       .columns = {}},
      {.name = "mnli",
       .title = "MNLI",
       .first = {"premise", "sentence1"},
       .second = {"hypothesis", "sentence2"},
       .label = {"label", "gold_label"},
       .labels = {"entailment", "neutral", "contradiction"},
       .aliases = {},
       .columns = {}},
      {.name = "qnli",
       .title = "QNLI",
       .first = {"question"},
       .second = {"sentence"},
       .label = {"label"},
       .labels = {"entailment", "not_entailment"},
       .aliases = {},
       .columns = {}},
      {.name = "rte",
       .title = "RTE",
       .first = {"sentence1"},
       .second = {"sentence2"},
       .label = {"label"},
       .labels = {"entailment", "not_entailment"},
       .aliases = {},
       .columns = {}},
      {.name = "wnli",
       .title = "WNLI",
       .first = {"sentence1"},
       .second = {"sentence2"},
       .label = {"label"},
       .labels = {"not_entailment", "entailment"},
       .aliases = {},
       .columns = {}},
      {.name = "ax",
       .title = "AX",
       .first = {"premise", "Premise", "sentence1"},
       .second = {"hypothesis", "Hypothesis", "sentence2"},
       .label = {"label", "Label"},
       .labels = {"entailment", "neutral", "contradiction"},
       .aliases = {},
       .columns = {}},
      {.name = "anli",
       .title = "ANLI",
       .first = {"premise", "context"},
       .second = {"hypothesis"},
       .label = {"label"},
       .labels = {"entailment", "neutral", "contradiction"},
       .aliases = {"e", "n", "c"},
       .columns = {}},
  };
  return rows;
}

const LabelTask* find_label_task(std::string_view name) {
  const auto found = std::ranges::find(label_tasks(), name, &LabelTask::name);
  return found == label_tasks().end() ? nullptr : &*found;
}

std::vector<LabelledText> read_labelled(const LabelTask& task, const std::filesystem::path& file) {
  const Table table(file, task.columns);
  std::vector<LabelledText> out;
  if (table.size() == 0) throw InputError({file, {}}, "expected at least one row, found none");
  const std::string first = column_of(table, task.first);
  const std::string second = task.second.empty() ? "" : column_of(table, task.second);
  const std::string label = column_of(table, task.label);
  for (std::int64_t row = 0; row < table.size(); ++row) {
    LabelledText text;
    text.where = table.location(row);
    text.first = table.text(row, first);
    if (!second.empty()) text.second = table.text(row, second);
    text.label = label_value(task.labels, task.aliases, table.text(row, label), text.where, label);
    out.push_back(std::move(text));
  }
  return out;
}

namespace {

LabelledExample encode_one(const LabelledText& text, const tokenizer::Tokenizer& tokenizer,
                           std::int64_t max_length) {
  LabelledExample out;
  out.label = text.label;
  const tokenizer::EncodeOptions options{.truncation = tokenizer::Truncation::longest_first,
                                         .max_length = max_length};
  const tokenizer::Encoding found = text.second
                                        ? tokenizer.encode_pair(text.first, *text.second, options)
                                        : tokenizer.encode(text.first, options);
  out.ids = found.ids;
  out.types = found.type_ids;
  out.truncated = !found.overflow.empty();
  return out;
}

}  // namespace

std::vector<LabelledExample> encode_labelled(const std::vector<LabelledText>& texts,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::int64_t max_length,
                                             std::int64_t vocabulary_size) {
  std::vector<LabelledExample> out(texts.size());
  parallel_for(std::ssize(texts), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      out[at] = encode_one(texts[at], tokenizer, max_length);
      expect_known_ids(out[at].ids, vocabulary_size, tokenizer, texts[at].where);
      if (out[at].ids.size() < 2) {
        throw InputError(texts[at].where, "expected at least two tokens, found " +
                                              std::to_string(out[at].ids.size()));
      }
    }
  });
  return out;
}

}  // namespace qloft::data
