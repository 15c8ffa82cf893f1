// GLUE's tasks and others of their form: a head's labels, or its number, against those of the data.

#include "qloft/evaluate/labels.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/data/labelled.h"
#include "qloft/evaluate.h"
#include "qloft/train/labelled.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

struct LabelOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
  std::int64_t length = 128;
};

template <typename Visitor>
void visit_options(LabelOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--length", at_most(o.length, kMostTokens), "tokens of an example at most");
}

void check_rows(const LabelOptions& options, const fs::path& data, std::int64_t, Progress&) {
  expect_at_least(1, options.batch, "batch");
  expect_at_least(2, options.length, "length");
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

struct LabelData {
  fs::path file;
  train::Labelled examples;
  std::int64_t truncated = 0;
};

template <std::size_t kTask>
LabelData read_rows_of(const Materials& materials, const LabelOptions& options,
                       const fs::path& file, Progress&) {
  const data::LabelTask& task = data::label_tasks()[kTask];
  expect_head(task, materials.layout, materials.source.folder());
  std::vector<data::LabelledText> rows = data::read_labelled(task, file);
  const auto most = static_cast<std::size_t>(options.limit);
  if (options.limit > 0 && rows.size() > most) rows.resize(most);
  std::vector<data::LabelledExample> examples = data::encode_labelled(
      rows, materials.tokenizer, label_length(options.length, materials.layout),
      materials.layout.vocabulary_size);
  const auto truncated = std::ranges::count_if(examples, &data::LabelledExample::truncated);
  return {file, train::Labelled(std::move(examples)), truncated};
}

template <std::size_t kTask>
Scores run_labels(const Subject& subject, const LabelOptions& options, const LabelData& data,
                  Progress&) {
  Scores scores = label_metrics(data::label_tasks()[kTask], subject.model, subject.adapter,
                                data.examples, options.batch);
  scores.set("examples", static_cast<double>(data.examples.size()));
  scores.set("truncated_examples", static_cast<double>(data.truncated));
  return scores;
}

ScoreInfo info_of(const LabelMetric& metric) {
  ScoreInfo info{.key = metric.key, .label = metric.label, .decimals = 2, .higher_is_better = true};
  if (metric.share) info.unit = Unit::share;
  if (!metric.share) info.decimals = 4;
  return info;
}

template <std::size_t kTask>
Task label_task_row() {
  const data::LabelTask& task = data::label_tasks()[kTask];
  Task row;
  row.name = row.in_recipe = task.name;
  row.kind = "GLUE";
  row.data_set = DataSet::labels;
  row.head = architecture::HeadKind::sequence;
  for (const LabelMetric& metric : label_metrics_of(task)) {
    row.scores.push_back(info_of(metric));
  }
  row.scores.push_back({.key = "loss", .label = "mean loss", .decimals = 6});
  row.scores.push_back({.key = "examples", .label = "examples", .unit = Unit::count});
  row.scores.push_back({.key = "truncated_examples", .label = "truncated", .unit = Unit::count});
  return make_task<LabelOptions, check_rows, read_rows_of<kTask>, run_labels<kTask>>(
      std::move(row));
}

template <std::size_t... kTasks>
std::vector<Task> rows_of(std::index_sequence<kTasks...>) {
  return {label_task_row<kTasks>()...};
}

}  // namespace

std::vector<Task> label_task_rows() {
  return rows_of(std::make_index_sequence<data::kLabelTasks>());
}

}  // namespace qloft::evaluate
