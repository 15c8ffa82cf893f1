#include "tasks/label_scores.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/metrics.h"
#include "qloft/objectives.h"

namespace qloft::evaluate {
namespace {

constexpr std::int64_t kLabelLength = 128;

std::string key_of(const LabelScores& wanted, const std::string& score) {
  return wanted.name + "_" + score;
}

double of_numbers(const std::string& key, const std::vector<double>& found,
                  const std::vector<double>& wanted) {
  if (key == kPearson.key) return metrics::pearson(found, wanted);
  if (key == kSpearman.key) return metrics::spearman(found, wanted);
  return metrics::mean_squared_error(found, wanted);
}

double of_classes(const std::string& key, const std::vector<std::int64_t>& found,
                  const std::vector<std::int64_t>& wanted, std::int64_t labels) {
  if (key == kMatthews.key) return metrics::matthews(found, wanted);
  if (key == kAccuracy.key) return metrics::accuracy(found, wanted);
  return labels > 2 ? metrics::macro_f1(found, wanted) : metrics::f1(found, wanted);
}

void set_of_numbers(const LabelScores& row, const at::Tensor& said, const train::Labelled& examples,
                    Scores& out) {
  std::vector<double> found, wanted;
  const at::Tensor first = said.select(1, 0).contiguous();
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    found.push_back(first.data_ptr<float>()[i]);
    wanted.push_back(examples[i].label);
  }
  for (const LabelMetric& metric : row.metrics) {
    out.set(key_of(row, metric.key), of_numbers(metric.key, found, wanted));
  }
}

void set_of_classes(const LabelScores& row, const at::Tensor& said, const train::Labelled& examples,
                    Scores& out) {
  const at::Tensor greatest = said.argmax(1).contiguous();
  const auto* first = greatest.data_ptr<std::int64_t>();
  const std::vector<std::int64_t> found(first, first + greatest.numel());
  std::vector<std::int64_t> wanted;
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    wanted.push_back(static_cast<std::int64_t>(examples[i].label));
  }
  for (const LabelMetric& metric : row.metrics) {
    out.set(key_of(row, metric.key), of_classes(metric.key, found, wanted, said.size(1)));
  }
}

}  // namespace

void check_label_options(const LabelOptions& options, const std::filesystem::path& data) {
  expect_at_least(1, options.batch, "batch");
  if (options.length != 0) expect_at_least(2, options.length, "length");
  if (!std::filesystem::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

LabelData encode_labels(const std::vector<data::LabelledText>& texts, const Materials& materials,
                        const LabelOptions& options, Progress& progress) {
  const std::int64_t length = length_of(options.length, kLabelLength, materials.layout);
  auto all =
      data::encode_labelled(texts, materials.tokenizer, length, materials.layout.vocabulary_size);
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

Scores score_labels(const LabelScores& wanted, const Subject& subject, const LabelOptions& options,
                    const LabelData& data, Progress& progress) {
  const at::Tensor said = train::label_scores(subject.model, subject.adapter, data.examples,
                                              options.batch, wanted.name, progress);
  if (!said.isfinite().all().item<bool>()) {
    throw ComputationError({{}, wanted.name}, "a score of the head is not finite");
  }
  Scores scores;
  if (subject.model.layout().head.problem == architecture::Problem::regression) {
    set_of_numbers(wanted, said, data.examples, scores);
  } else {
    set_of_classes(wanted, said, data.examples, scores);
  }
  std::vector<std::int64_t> places(static_cast<std::size_t>(data.examples.size()));
  std::iota(places.begin(), places.end(), std::int64_t{0});
  const objectives::Loss loss = objectives::classification_of(
      subject.model, said, data.examples.labels(places, subject.model));
  scores.set(key_of(wanted, "loss"), loss.sum.item<double>() / static_cast<double>(loss.count));
  scores.set(key_of(wanted, "examples"), static_cast<double>(data.examples.size()));
  scores.set(key_of(wanted, "truncated"), static_cast<double>(data.truncated));
  return scores;
}

std::vector<ScoreInfo> infos_of(const LabelScores& wanted) {
  std::vector<ScoreInfo> infos;
  for (const LabelMetric& metric : wanted.metrics) {
    const std::string key = key_of(wanted, metric.key), title = wanted.title + ", " + metric.label;
    ScoreInfo info{.key = key,
                   .label = metric.label,
                   .decimals = metric.share ? 2 : 4,
                   .higher_is_better = metric.higher_is_better,
                   .compared = {{title + (metric.share ? " %" : ""), metric.share ? 1 : 3, title,
                                 key, false}}};
    if (metric.share) info.unit = Unit::share;
    infos.push_back(std::move(info));
  }
  infos.push_back({.key = key_of(wanted, "loss"), .label = "mean loss", .decimals = 6});
  infos.push_back({.key = key_of(wanted, "examples"), .label = "examples", .unit = Unit::count});
  infos.push_back({.key = key_of(wanted, "truncated"), .label = "truncated", .unit = Unit::count});
  return infos;
}

}  // namespace qloft::evaluate
