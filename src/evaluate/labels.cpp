#include "qloft/evaluate/labels.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "qloft/core/error.h"
#include "qloft/metrics.h"
#include "qloft/objectives.h"

namespace qloft::evaluate {
namespace {

std::vector<std::int64_t> greatest_of(const at::Tensor& scores) {
  const at::Tensor chosen = scores.argmax(1).contiguous();
  const auto* first = chosen.data_ptr<std::int64_t>();
  return {first, first + chosen.numel()};
}

std::vector<std::int64_t> places_of(const train::Labelled& examples) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(examples.size()));
  std::iota(places.begin(), places.end(), std::int64_t{0});
  return places;
}

void set_numbers(const at::Tensor& scores, const train::Labelled& examples, Scores& out) {
  std::vector<double> found, wanted;
  const at::Tensor first = scores.select(1, 0).contiguous();
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    found.push_back(first.data_ptr<float>()[i]);
    wanted.push_back(examples[i].label);
  }
  out.set("pearson", metrics::pearson(found, wanted));
  out.set("spearman", metrics::spearman(found, wanted));
}

}  // namespace

std::vector<LabelMetric> label_metrics_of(const data::LabelTask& task) {
  if (task.is_regression()) return {{"pearson", "Pearson"}, {"spearman", "Spearman"}};
  if (task.name == "cola") return {{"matthews", "Matthews"}, {"accuracy", "accuracy", true}};
  if (task.name == "mrpc" || task.name == "qqp") {
    return {{"f1", "F1", true}, {"accuracy", "accuracy", true}};
  }
  return {{"accuracy", "accuracy", true}};
}

Scores label_metrics(const data::LabelTask& task, model::Model& model, model::AdapterId adapter,
                     const train::Labelled& examples, std::int64_t batch) {
  const at::Tensor scores = train::label_scores(model, adapter, examples, batch);
  if (!scores.isfinite().all().item<bool>()) {
    throw ComputationError({{}, task.name}, "a score of the head is not finite");
  }
  Scores out;
  if (task.is_regression()) {
    set_numbers(scores, examples, out);
  } else {
    std::vector<std::int64_t> wanted;
    for (std::int64_t i = 0; i < examples.size(); ++i) {
      wanted.push_back(static_cast<std::int64_t>(examples[i].label));
    }
    const std::vector<std::int64_t> found = greatest_of(scores);
    for (const LabelMetric& metric : label_metrics_of(task)) {
      out.set(metric.key, metric.key == "matthews" ? metrics::matthews(found, wanted)
                          : metric.key == "f1"     ? metrics::f1(found, wanted)
                                                   : metrics::accuracy(found, wanted));
    }
  }
  const auto loss =
      objectives::classification_of(model, scores, examples.labels(places_of(examples), model));
  out.set("loss", loss.sum.item<double>() / static_cast<double>(loss.count));
  return out;
}

bool has_head_for(const data::LabelTask& task, const architecture::Layout& layout) {
  const architecture::Head& head = layout.head;
  if (head.kind != architecture::HeadKind::sequence) return false;
  if (task.is_regression()) {
    return head.labels.size() == 1 && head.problem == architecture::Problem::regression;
  }
  return head.labels.size() == task.labels.size() &&
         head.problem == architecture::Problem::single_label;
}

void expect_head(const data::LabelTask& task, const architecture::Layout& layout,
                 const std::filesystem::path& folder) {
  if (has_head_for(task, layout)) return;
  const std::string wanted =
      task.is_regression() ? "one number" : std::to_string(task.labels.size()) + " labels";
  const std::string found =
      layout.head.kind == architecture::HeadKind::sequence
          ? std::to_string(layout.head.labels.size()) + " labels"
          : layout.family + " with a head of the kind " + std::string(name(layout.head.kind));
  throw InputError({folder / "config.json", "architectures"}, "expected a model with a head for " +
                                                                  wanted + " of sequences (" +
                                                                  task.name + "), found " + found);
}

std::int64_t label_length(std::int64_t asked, const architecture::Layout& layout) {
  return layout.max_positions > 0 ? std::min(asked, layout.max_positions) : asked;
}

}  // namespace qloft::evaluate
