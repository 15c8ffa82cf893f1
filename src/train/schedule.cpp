#include <algorithm>
#include <cmath>
#include <numbers>

#include "qloft/train.h"

namespace qloft::train {

std::int64_t warmup_steps(const Options& options, std::int64_t steps) {
  if (options.warmup >= 1) return static_cast<std::int64_t>(options.warmup);
  return static_cast<std::int64_t>(std::ceil(options.warmup * static_cast<double>(steps)));
}

double learning_rate(const Options& options, std::int64_t step, std::int64_t steps) {
  const std::int64_t warmup = warmup_steps(options, steps);
  if (step < warmup) {
    return options.learning_rate * static_cast<double>(step) / static_cast<double>(warmup);
  }
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup) /
                        static_cast<double>(std::max<std::int64_t>(1, steps - warmup)));
  double share = 1;  // of the way from the least rate to the full one
  switch (options.schedule) {
    case Schedule::constant:
      return options.learning_rate;
    case Schedule::linear:
      share = 1 - progress;
      break;
    case Schedule::cosine:
      share = 0.5 * (1 + std::cos(std::numbers::pi * progress));
      break;
  }
  const double least = options.min_learning_rate;
  return options.learning_rate * (least + (1 - least) * share);
}

}  // namespace qloft::train
