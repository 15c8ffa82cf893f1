// GLUE's tasks and others of their form: a head's labels, or its number, against those of the data.

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/data/labelled.h"
#include "qloft/evaluate.h"
#include "qloft/metrics.h"
#include "qloft/objectives.h"
#include "qloft/train/labelled.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

struct LabelOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
  std::int64_t length = 0;
};

constexpr std::int64_t kLabelLength = 128;

template <typename Visitor>
void visit_options(LabelOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--length", at_most(o.length, kMostTokens), kLengthHelp);
}

void check_rows(const LabelOptions& options, const fs::path& data, std::int64_t, Progress&) {
  expect_at_least(1, options.batch, "batch");
  if (options.length != 0) expect_at_least(2, options.length, "length");
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

// ------------------------------------------------------------------------------- data

struct LabelData {
  train::Labelled examples;
  std::int64_t truncated = 0;
};

LabelData read_labels(const data::LabelTask& task, const Materials& materials,
                      const LabelOptions& options, const std::vector<fs::path>& files,
                      Progress& progress) {
  const std::int64_t length = length_of(options.length, kLabelLength, materials.layout);
  std::vector<data::LabelledExample> all;
  for (const fs::path& file : files) {
    auto examples = data::encode_labelled(data::read_labelled(task, file), materials.tokenizer,
                                          length, materials.layout.vocabulary_size);
    std::ranges::move(examples, std::back_inserter(all));
  }
  const auto most = static_cast<std::size_t>(options.limit);
  if (options.limit > 0 && all.size() > most) all.resize(most);
  const auto truncated = std::ranges::count_if(all, &data::LabelledExample::truncated);
  if (truncated > 0) {
    progress.warn(std::to_string(truncated) + " of " + std::to_string(all.size()) +
                  " examples are longer than " + std::to_string(length) +
                  " tokens: cut (--length)");
  }
  return {train::Labelled(std::move(all)), truncated};
}

template <std::size_t kTask>
LabelData read_rows_of(const Materials& materials, const LabelOptions& options,
                       const fs::path& file, Progress& progress) {
  return read_labels(data::label_tasks()[kTask], materials, options, {file}, progress);
}

template <std::size_t kTask>
TrainingSet learn_rows_of(const Materials& materials, const LabelOptions& options,
                          const std::vector<fs::path>& files, const Learning&, Progress& progress) {
  const LabelData data =
      read_labels(data::label_tasks()[kTask], materials, options, files, progress);
  return {data.examples.examples(), data.examples.objective(), data.examples.fingerprint()};
}

// ------------------------------------------------------------------------------- scores

struct LabelMetric {
  const char* key;
  const char* label;
  bool share = false;  // from 0 to 1, shown in per cent
};

constexpr LabelMetric kAccuracy{"accuracy", "accuracy", true}, kF1{"f1", "F1", true},
    kMatthews{"matthews", "Matthews"}, kPearson{"pearson", "Pearson"},
    kSpearman{"spearman", "Spearman"};

// GLUE's (Wang et al. 2019). The first is what early stops and the best checkpoint go by.
std::vector<LabelMetric> metrics_of(const data::LabelTask& task) {
  if (task.is_regression()) return {kPearson, kSpearman};
  if (task.name == "cola" || task.name == "ax") return {kMatthews, kAccuracy};
  if (task.name == "mrpc" || task.name == "qqp") return {kF1, kAccuracy};
  return {kAccuracy};
}

std::string key_of(const data::LabelTask& task, const std::string& score) {
  return task.name + "_" + score;
}

void set_of_numbers(const data::LabelTask& task, const at::Tensor& said,
                    const train::Labelled& examples, Scores& out) {
  std::vector<double> found, wanted;
  const at::Tensor first = said.select(1, 0).contiguous();
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    found.push_back(first.data_ptr<float>()[i]);
    wanted.push_back(examples[i].label);
  }
  out.set(key_of(task, kPearson.key), metrics::pearson(found, wanted));
  out.set(key_of(task, kSpearman.key), metrics::spearman(found, wanted));
}

void set_of_classes(const data::LabelTask& task, const at::Tensor& said,
                    const train::Labelled& examples, Scores& out) {
  const at::Tensor greatest = said.argmax(1).contiguous();
  const auto* first = greatest.data_ptr<std::int64_t>();
  const std::vector<std::int64_t> found(first, first + greatest.numel());
  std::vector<std::int64_t> wanted;
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    wanted.push_back(static_cast<std::int64_t>(examples[i].label));
  }
  for (const LabelMetric& metric : metrics_of(task)) {
    const std::string key = metric.key;
    out.set(key_of(task, key), key == kMatthews.key ? metrics::matthews(found, wanted)
                               : key == kF1.key     ? metrics::f1(found, wanted)
                                                    : metrics::accuracy(found, wanted));
  }
}

template <std::size_t kTask>
Scores run_labels(const Subject& subject, const LabelOptions& options, const LabelData& data,
                  Progress& progress) {
  const data::LabelTask& task = data::label_tasks()[kTask];
  const at::Tensor said = train::label_scores(subject.model, subject.adapter, data.examples,
                                              options.batch, task.name, progress);
  if (!said.isfinite().all().item<bool>()) {
    throw ComputationError({{}, task.name}, "a score of the head is not finite");
  }
  Scores scores;
  if (task.is_regression()) {
    set_of_numbers(task, said, data.examples, scores);
  } else {
    set_of_classes(task, said, data.examples, scores);
  }
  std::vector<std::int64_t> places(static_cast<std::size_t>(data.examples.size()));
  std::iota(places.begin(), places.end(), std::int64_t{0});
  const objectives::Loss loss = objectives::classification_of(
      subject.model, said, data.examples.labels(places, subject.model));
  scores.set(key_of(task, "loss"), loss.sum.item<double>() / static_cast<double>(loss.count));
  scores.set(key_of(task, "examples"), static_cast<double>(data.examples.size()));
  scores.set(key_of(task, "truncated"), static_cast<double>(data.truncated));
  return scores;
}

// ------------------------------------------------------------------------------- rows

ScoreInfo info_of(const data::LabelTask& task, const LabelMetric& metric) {
  const std::string key = key_of(task, metric.key), title = task.title + ", " + metric.label;
  ScoreInfo info{
      .key = key,
      .label = metric.label,
      .decimals = metric.share ? 2 : 4,
      .higher_is_better = true,
      .compared = {{title + (metric.share ? " %" : ""), metric.share ? 1 : 3, title, key, false}}};
  if (metric.share) info.unit = Unit::share;
  return info;
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
  for (const LabelMetric& metric : metrics_of(task)) row.scores.push_back(info_of(task, metric));
  row.scores.push_back({.key = key_of(task, "loss"), .label = "mean loss", .decimals = 6});
  row.scores.push_back({.key = key_of(task, "examples"), .label = "examples", .unit = Unit::count});
  row.scores.push_back(
      {.key = key_of(task, "truncated"), .label = "truncated", .unit = Unit::count});
  return make_task<LabelOptions, check_rows, read_rows_of<kTask>, run_labels<kTask>,
                   learn_rows_of<kTask>>(std::move(row));
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
