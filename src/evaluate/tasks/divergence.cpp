// How far a model's predictions are from those of the model that it was made of: over the tokens of
// windows of text (tasks/windows.h) the Kullback-Leibler divergence of the whole distributions and
// how often the likeliest token is the same, as llama.cpp's perplexity --kl-divergence has them.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "finite.h"
#include "logits_at_once.h"
#include "qloft/core/error.h"
#include "qloft/evaluate.h"
#include "tasks/row.h"
#include "tasks/windows.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

struct DivergenceOptions : WindowOptions {
  fs::path teacher;
};

template <typename Visitor>
void visit_options(DivergenceOptions& o, Visitor& v) {
  v("--teacher", o.teacher, "the model whose predictions are held beside, a folder or hub name");
  visit_window_options(o, v);
}

void check_divergence(const DivergenceOptions& options, const fs::path& data,
                      std::int64_t positions, Progress&) {
  if (options.teacher.empty()) {
    throw InputError({{}, "teacher"}, "expected the model that this one was made of, found none");
  }
  check_windows(options, data, positions);
}

Windows read_divergence_text(const Materials& materials, const DivergenceOptions& options,
                             const fs::path& file, Progress&) {
  return read_windows(materials, options, file);
}

// Over all predictions so far.
struct Sums {
  std::vector<float> divergences;
  double log_ratio = 0;  // of the next token's likelihood, the teacher's by the model's
  std::int64_t agreements = 0;
};

Tensor log_probabilities(model::Model& model, model::AdapterId adapter, const Tensor& states) {
  return at::log_softmax(model.logits(states, {adapter}), -1);
}

void add(Sums& sums, const Tensor& own, const Tensor& wanted, const Tensor& targets) {
  const Tensor divergences = (wanted.exp() * (wanted - own)).sum(-1).to(at::kCPU);
  const float* values = divergences.data_ptr<float>();
  sums.divergences.insert(sums.divergences.end(), values, values + divergences.numel());
  const Tensor next = targets.to(own.device()).unsqueeze(-1);
  sums.log_ratio +=
      (wanted.gather(-1, next) - own.gather(-1, next)).sum(at::kDouble).item<double>();
  sums.agreements += own.argmax(-1).eq(wanted.argmax(-1)).sum().item<std::int64_t>();
}

// Of one pass over ids [rows, window].
void add_windows(Sums& sums, const Subject& subject, const Tensor& ids) {
  const std::int64_t predictions = ids.size(1) - 1;
  const auto states_of = [&](model::Model& model, model::AdapterId adapter) {
    const Tensor states = model.hidden({.ids = ids.to(model.device()), .adapters = {adapter}});
    return states.narrow(1, 0, predictions).reshape({-1, states.size(-1)});
  };
  const Tensor own = states_of(subject.model, subject.adapter);
  const Tensor wanted = states_of(*subject.teacher, subject.teacher_adapter);
  const Tensor targets = ids.narrow(1, 1, predictions).reshape({-1});
  const std::int64_t step =
      std::max<std::int64_t>(1, kLogitsAtOnce / subject.model.layout().vocabulary_size);
  for (std::int64_t first = 0; first < targets.size(0); first += step) {
    const std::int64_t count = std::min(step, targets.size(0) - first);
    add(sums, log_probabilities(subject.model, subject.adapter, own.narrow(0, first, count)),
        log_probabilities(*subject.teacher, subject.teacher_adapter,
                          wanted.narrow(0, first, count)),
        targets.narrow(0, first, count));
  }
}

double mean_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Of the mean, values taken as independent.
double standard_error(const std::vector<float>& values, double mean) {
  if (values.size() < 2) return 0;
  double sum = 0;
  for (const float value : values) sum += (value - mean) * (value - mean);
  const auto count = static_cast<double>(values.size());
  return std::sqrt(sum / (count - 1) / count);
}

// The least value that a share of them does not exceed.
double quantile(std::vector<float>& values, double share) {
  const auto rank =
      static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place =
      values.begin() + std::clamp<std::ptrdiff_t>(rank - 1, 0, std::ssize(values) - 1);
  std::ranges::nth_element(values, place);
  return *place;
}

Scores run_divergence(const Subject& subject, const DivergenceOptions&, const Windows& data,
                      Progress& progress) {
  const at::NoGradGuard no_gradients;
  Sums sums;
  progress.begin("divergence", static_cast<std::uint64_t>(data.count), "windows");
  for (std::int64_t first = 0; first < data.count; first += data.at_once()) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    const std::int64_t rows = std::min(data.at_once(), data.count - first);
    add_windows(sums, subject, data.rows(first, rows));
    const double mean = mean_of(sums.divergences);
    expect_finite(mean, {data.file, "windows from " + std::to_string(first + 1)});
    progress.update(static_cast<std::uint64_t>(first + rows),
                    "mean divergence " + std::to_string(mean));
  }
  progress.end();
  const auto count = static_cast<double>(sums.divergences.size());
  const double mean = mean_of(sums.divergences);
  const double agreement = static_cast<double>(sums.agreements) / count;
  Scores scores;
  scores.set("divergence", mean);
  scores.set("divergence_error", standard_error(sums.divergences, mean));
  scores.set("divergence_median", quantile(sums.divergences, 0.5));
  scores.set("divergence_99", quantile(sums.divergences, 0.99));
  scores.set("divergence_max", quantile(sums.divergences, 1));
  scores.set("agreement", agreement);
  scores.set("agreement_error", std::sqrt(agreement * (1 - agreement) / count));
  scores.set("perplexity_ratio", std::exp(sums.log_ratio / count));
  scores.set("predictions", count);
  return scores;
}

}  // namespace

Task divergence_task() {
  Task row;
  row.name = row.in_recipe = "divergence";
  row.data_set = DataSet::text;
  row.teacher = "teacher";
  row.scores = {
      {.key = "divergence",
       .label = "mean KL divergence",
       .decimals = 6,
       .error = "divergence_error",
       .compared = {{"KL", 4, "Kullback-Leibler divergence", "divergence", false}}},
      {.key = "divergence_error"},
      {.key = "divergence_median", .label = "median", .decimals = 6},
      {.key = "divergence_99", .label = "99 % at most", .decimals = 6},
      {.key = "divergence_max", .label = "largest", .decimals = 6},
      {.key = "agreement",
       .label = "same likeliest token",
       .unit = Unit::share,
       .decimals = 2,
       .higher_is_better = true,
       .error = "agreement_error",
       .compared = {{"same token %", 1, "Same likeliest token", "agreement", false}}},
      {.key = "agreement_error"},
      {.key = "perplexity_ratio", .label = "perplexity, by the teacher's", .decimals = 6},
      {.key = "predictions", .label = "tokens", .unit = Unit::count},
  };
  return make_task<DivergenceOptions, check_divergence, read_divergence_text, run_divergence>(
      std::move(row));
}

}  // namespace qloft::evaluate
