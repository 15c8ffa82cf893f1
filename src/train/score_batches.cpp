#include "score_batches.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "qloft/core/error.h"

namespace qloft::train {

void score_batches(model::Model& model, const std::vector<std::int64_t>& lengths,
                   std::int64_t batch, const std::string& stage, const std::string& unit,
                   Progress& progress,
                   const std::function<void(const std::vector<std::int64_t>& places)>& score) {
  const at::NoGradGuard no_grad;
  model.set_training(false);
  const std::int64_t count = std::ssize(lengths);
  std::vector<std::int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::int64_t place) {
    return lengths[static_cast<std::size_t>(place)];
  });
  progress.begin(stage, static_cast<std::uint64_t>(count), unit);
  for (std::int64_t begin = 0; begin < count; begin += batch) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped while " + unit + " were scored");
    const std::int64_t end = std::min(begin + batch, count);
    score({order.begin() + begin, order.begin() + end});
    progress.update(static_cast<std::uint64_t>(end), {});
  }
  progress.end();
}

}  // namespace qloft::train
