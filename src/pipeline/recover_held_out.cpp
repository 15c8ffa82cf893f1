#include "recover_held_out.h"

#include <ATen/core/grad_mode.h>

#include <array>
#include <cstdio>
#include <string>

#include "qloft/core/error.h"

namespace qloft::pipeline {

double held_out_loss(model::Model& model, model::AdapterId adapter, const RecoverInputs& inputs,
                     const train::Objective& objective, Progress& progress) {
  const at::NoGradGuard no_grad;
  model.set_training(false);
  const std::int64_t first = inputs.examples.size(), end = inputs.all.size();
  progress.begin("held out", static_cast<std::uint64_t>(end - first), "sequences");
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t place = first; place < end; ++place) {
    if (progress.stop_requested())
      throw Interrupted({}, "stopped before what was held out was measured; --resume goes on");
    const objectives::Loss loss =
        objective(model, train::padded_batch(inputs.all, {place}, model, adapter));
    sum += loss.sum.item<double>();
    count += loss.count;
    progress.update(static_cast<std::uint64_t>(place + 1 - first), "");
  }
  progress.end();
  return sum / static_cast<double>(count);
}

void warn_where_nothing_was_won(const RecoverReport& report, double learning_rate,
                                Progress& progress) {
  constexpr double kNoise = 0.01;
  if (!report.held_out_before || *report.held_out_after < *report.held_out_before) return;
  const bool worse = *report.held_out_after > (1 + kNoise) * *report.held_out_before;
  std::array<char, 224> text{};
  std::snprintf(text.data(), text.size(),
                "%d sequences that were held out are %s: their loss was %.4f before and is %.4f",
                static_cast<int>(report.held_out),
                worse ? "farther from the teacher" : "no nearer to the teacher",
                *report.held_out_before, *report.held_out_after);
  if (!worse) return progress.note(text.data());
  std::array<char, 64> advice{};
  std::snprintf(advice.data(), advice.size(), "; steps were too large: try recover --lr %.0e",
                learning_rate / 5);
  progress.warn(std::string(text.data()) + advice.data());
}

}  // namespace qloft::pipeline
