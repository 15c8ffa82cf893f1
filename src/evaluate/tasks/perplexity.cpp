// The text is tokenized once as a whole with the tokenizer's special tokens, cut into consecutive
// windows, the incomplete last one dropped; within a window every token but the first is predicted.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "finite.h"
#include "qloft/core/error.h"
#include "qloft/data/known_ids.h"
#include "qloft/evaluate.h"
#include "qloft/objectives.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

// Positions in one forward pass: enough to fill the products, little in memory.
constexpr std::int64_t kPositionsAtOnce = 2048;

struct PerplexityOptions {
  std::int64_t window = 1024;  // at most the model's positions
  std::int64_t limit = 0;
};

template <typename Visitor>
void visit_options(PerplexityOptions& o, Visitor& v) {
  v("--window", at_most(o.window, kMostTokens), "tokens a window");
  v("--limit", o.limit, kLimitHelp);
}

void check_text(const PerplexityOptions& options, const fs::path& data, std::int64_t positions,
                Progress&) {
  expect_at_least(2, options.window, "window");
  if (positions > 0 && options.window > positions) {
    throw InputError({{}, "window"}, "expected at most the model's " + std::to_string(positions) +
                                         " positions, found " + std::to_string(options.window));
  }
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
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

objectives::Loss loss_of_windows(const Subject& subject, const tokenizer::TokenId* ids,
                                 std::int64_t rows, std::int64_t window) {
  auto batch = at::empty({rows, window}, at::kLong);
  std::copy_n(ids, rows * window, batch.data_ptr<std::int64_t>());
  const model::Input input{.ids = batch.to(subject.model.device()), .adapters = {subject.adapter}};
  return subject.cached ? loss_through_caches(subject, input)
                        : objectives::next_token(subject.model, input);
}

struct Windows {
  fs::path file;
  std::vector<tokenizer::TokenId> ids;
  std::int64_t count;
};

Windows read_windows(const Materials& materials, const PerplexityOptions& options,
                     const fs::path& file, Progress&) {
  auto ids = data::read_text_ids(file, materials.layout.vocabulary_size, materials.tokenizer);
  const std::int64_t count = std::ssize(ids) / options.window;
  if (count == 0) {
    throw InputError({file, {}}, "expected at least one window of " +
                                     std::to_string(options.window) + " tokens, found " +
                                     std::to_string(ids.size()));
  }
  return {file, std::move(ids), options.limit > 0 ? std::min(count, options.limit) : count};
}

Scores run_perplexity(const Subject& subject, const PerplexityOptions& options, const Windows& data,
                      Progress& progress) {
  const auto& [file, ids, windows] = data;
  const std::int64_t window = options.window;
  const at::NoGradGuard no_gradients;
  const std::int64_t at_once = std::max<std::int64_t>(1, kPositionsAtOnce / window);
  double sum = 0;
  std::int64_t count = 0;
  progress.begin("perplexity", static_cast<std::uint64_t>(windows), "windows");
  for (std::int64_t first = 0; first < windows; first += at_once) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    const std::int64_t rows = std::min(at_once, windows - first);
    const auto loss = loss_of_windows(subject, ids.data() + first * window, rows, window);
    const auto batch_sum = loss.sum.item<double>();
    for (std::int64_t i = first; !std::isfinite(batch_sum) && i < first + rows; ++i) {
      const auto one = loss_of_windows(subject, ids.data() + i * window, 1, window);
      expect_finite(one.sum.item<double>(), {file, "window " + std::to_string(i + 1)});
    }
    expect_finite(batch_sum, {file, "windows from " + std::to_string(first + 1)});
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
  row.plain_text = true;
  row.caches = Caches::where_asked_for;
  row.scores = {
      {.key = "nll_mean", .label = "mean loss", .decimals = 6},
      {.key = "perplexity",
       .label = "perplexity",
       .decimals = 4,
       .compared = {{"perplexity", 2, "Perplexity", "perplexity"}}},
      {.key = "tokens", .label = "tokens", .unit = Unit::count},
  };
  return make_task<PerplexityOptions, check_text, read_windows, run_perplexity>(std::move(row));
}

}  // namespace qloft::evaluate
