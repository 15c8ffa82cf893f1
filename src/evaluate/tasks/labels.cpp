// GLUE's tasks and others of their form: a head's labels, or its number, against those of the data.

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "qloft/data/labelled.h"
#include "tasks/label_scores.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

// GLUE's (Wang et al. 2019).
LabelScores scores_of(const data::LabelTask& task) {
  LabelScores out{task.name, task.title, {kAccuracy}};
  if (task.is_regression()) out.metrics = {kPearson, kSpearman};
  if (task.name == "cola" || task.name == "ax") out.metrics = {kMatthews, kAccuracy};
  if (task.name == "mrpc" || task.name == "qqp") out.metrics = {kF1, kAccuracy};
  return out;
}

void check_labels(const LabelOptions& options, const fs::path& data, std::int64_t, Progress&) {
  check_label_options(options, data);
}

LabelData read_labels(const data::LabelTask& task, const Materials& materials,
                      const LabelOptions& options, const std::vector<fs::path>& files,
                      Progress& progress) {
  std::vector<data::LabelledText> texts;
  for (const fs::path& file : files) {
    std::ranges::move(data::read_labelled(task, file), std::back_inserter(texts));
  }
  return encode_labels(texts, materials, options, progress);
}

template <std::size_t kTask>
LabelData prepare_labels(const Materials& materials, const LabelOptions& options,
                         const fs::path& file, Progress& progress) {
  return read_labels(data::label_tasks()[kTask], materials, options, {file}, progress);
}

template <std::size_t kTask>
TrainingSet learn_labels(const Materials& materials, const LabelOptions& options,
                         const std::vector<fs::path>& files, const Learning&, Progress& progress) {
  const LabelData data =
      read_labels(data::label_tasks()[kTask], materials, options, files, progress);
  return {data.examples.examples(), data.examples.objective(), data.examples.fingerprint()};
}

template <std::size_t kTask>
Scores run_labels(const Subject& subject, const LabelOptions& options, const LabelData& data,
                  Progress& progress) {
  return score_labels(scores_of(data::label_tasks()[kTask]), subject, options, data, progress);
}

template <std::size_t kTask>
Task label_task_row() {
  const data::LabelTask& task = data::label_tasks()[kTask];
  Task row;
  row.name = row.in_recipe = task.name;
  row.kind = "GLUE";
  row.data_set = DataSet::labels;
  row.head = {.kind = architecture::HeadKind::sequence, .labels = task.labels};
  if (task.is_regression()) {
    row.head->labels = {"score"};
    row.head->problem = architecture::Problem::regression;
  }
  row.scores = infos_of(scores_of(task));
  return make_task<LabelOptions, check_labels, prepare_labels<kTask>, run_labels<kTask>,
                   learn_labels<kTask>>(std::move(row));
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
