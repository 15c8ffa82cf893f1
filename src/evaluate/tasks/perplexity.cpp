// -log p of each token but the first of each window (tasks/windows.h).

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "finite.h"
#include "qloft/core/error.h"
#include "qloft/evaluate.h"
#include "qloft/objectives.h"
#include "tasks/row.h"
#include "tasks/windows.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

struct PerplexityOptions : WindowOptions {};

template <typename Visitor>
void visit_options(PerplexityOptions& o, Visitor& v) {
  visit_window_options(o, v);
}

void check_perplexity(const PerplexityOptions& options, const fs::path& data,
                      std::int64_t positions, Progress&) {
  check_windows(options, data, positions);
}

Windows read_perplexity_text(const Materials& materials, const PerplexityOptions& options,
                             const fs::path& file, Progress&) {
  return read_windows(materials, options, file);
}

// Each window by a cache of its own, as if it were a prompt.
objectives::Loss loss_through_caches(const Subject& subject, const model::Input& input) {
  model::Model& model = subject.model;
  const std::int64_t rows = input.ids.size(0), window = input.ids.size(1);
  const at::Tensor ids = input.ids.to(at::kCPU);
  const std::int64_t* first = ids.data_ptr<std::int64_t>();
  std::vector<model::KeyValueCache> caches;
  for (std::int64_t i = 0; i < rows; ++i) caches.push_back(model.make_cache(window));
  std::vector<model::Continuation> sequences;
  for (model::KeyValueCache& cache : caches) {
    sequences.push_back({&cache, {first, first + window}, subject.adapter});
    first += window;
  }
  return objectives::next_token_of(model, model.extend(sequences, model::NewTokens::all), input);
}

objectives::Loss loss_of_windows(const Subject& subject, const at::Tensor& ids) {
  const model::Input input{.ids = ids.to(subject.model.device()), .adapters = {subject.adapter}};
  return subject.cached ? loss_through_caches(subject, input)
                        : objectives::next_token(subject.model, input);
}

Scores run_perplexity(const Subject& subject, const PerplexityOptions&, const Windows& data,
                      Progress& progress) {
  const at::NoGradGuard no_gradients;
  double sum = 0;
  std::int64_t count = 0;
  progress.begin("perplexity", static_cast<std::uint64_t>(data.count), "windows");
  for (std::int64_t first = 0; first < data.count; first += data.at_once()) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    const std::int64_t rows = std::min(data.at_once(), data.count - first);
    const auto loss = loss_of_windows(subject, data.rows(first, rows));
    const auto batch_sum = loss.sum.item<double>();
    for (std::int64_t i = first; !std::isfinite(batch_sum) && i < first + rows; ++i) {
      const auto one = loss_of_windows(subject, data.rows(i, 1));
      expect_finite(one.sum.item<double>(), {data.file, "window " + std::to_string(i + 1)});
    }
    expect_finite(batch_sum, {data.file, "windows from " + std::to_string(first + 1)});
    sum += batch_sum;
    count += loss.count;
    progress.update(static_cast<std::uint64_t>(first + rows),
                    "perplexity " + std::to_string(std::exp(sum / static_cast<double>(count))));
  }
  progress.end();
  const double mean = sum / static_cast<double>(count);
  Scores scores;
  scores.set("nll_mean", mean);
  scores.set("perplexity", std::exp(mean));
  scores.set("tokens", static_cast<double>(count));
  return scores;
}

}  // namespace

Task perplexity_task() {
  Task row;
  row.name = row.in_recipe = "perplexity";
  row.data_set = DataSet::text;
  row.caches = Caches::where_asked_for;
  row.scores = {
      {.key = "nll_mean", .label = "mean loss", .decimals = 6},
      {.key = "perplexity",
       .label = "perplexity",
       .decimals = 4,
       .compared = {{"perplexity", 2, "Perplexity", "perplexity"}}},
      {.key = "tokens", .label = "tokens", .unit = Unit::count},
  };
  return make_task<PerplexityOptions, check_perplexity, read_perplexity_text, run_perplexity>(
      std::move(row));
}

}  // namespace qloft::evaluate
