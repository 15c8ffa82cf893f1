
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "qloft/core/error.h"
#include "qloft/evaluate.h"

namespace qloft::evaluate {
namespace {

// Positions in one forward pass: enough to fill the products, little in memory.
constexpr std::int64_t kPositionsAtOnce = 2048;

}  // namespace

Perplexity perplexity(model::Model& model, const text::Tokenizer& tokenizer, std::string_view text,
                      std::int64_t window, std::int64_t limit, Progress& progress) {
  if (window < 2) {
    throw InputError({{}, "window"}, "expected at least 2, found " + std::to_string(window));
  }
  const auto ids = tokenizer.encode(text);
  std::int64_t windows = static_cast<std::int64_t>(ids.size()) / window;
  if (windows == 0) {
    throw InputError({{}, "window"}, "the text has " + std::to_string(ids.size()) +
                                         " tokens, less than one window of " +
                                         std::to_string(window));
  }
  if (limit > 0) windows = std::min(windows, limit);

  const at::NoGradGuard no_gradients;
  const std::int64_t at_once = std::max<std::int64_t>(1, kPositionsAtOnce / window);
  double sum = 0;
  std::int64_t count = 0;
  progress.begin("perplexity", static_cast<std::uint64_t>(windows), "windows");
  for (std::int64_t first = 0; first < windows; first += at_once) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    const std::int64_t rows = std::min(at_once, windows - first);
    auto batch = at::empty({rows, window}, at::kLong);
    std::copy_n(ids.begin() + first * window, rows * window, batch.data_ptr<std::int64_t>());
    const auto loss = model.loss({batch.to(model.device()), {}, {}}, {});
    sum += loss.sum.item<double>();
    count += loss.count;
    progress.update(static_cast<std::uint64_t>(first + rows),
                    "perplexity " + std::to_string(std::exp(sum / static_cast<double>(count))));
  }
  progress.end();
  const double mean = sum / static_cast<double>(count);
  return {mean, std::exp(mean), count};
}

}  // namespace qloft::evaluate
