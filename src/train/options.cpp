#include "qloft/train/options.h"

#include <array>
#include <cmath>
#include <string>

#include "qloft/core/error.h"

namespace qloft::train {
namespace {

struct ScheduleName {
  Schedule schedule;
  std::string_view name;
};
constexpr std::array kSchedules = {
    ScheduleName{Schedule::constant, "constant"},
    ScheduleName{Schedule::linear, "linear"},
    ScheduleName{Schedule::cosine, "cosine"},
};

template <typename T>
void expect(bool holds, std::string_view field, std::string_view expected, T found) {
  if (holds) return;
  std::string number = std::to_string(found);
  throw InputError({{}, std::string(field)},
                   "expected " + std::string(expected) + ", found " + number);
}

}  // namespace

std::string_view name(Schedule schedule) {
  for (const auto& row : kSchedules) {
    if (row.schedule == schedule) return row.name;
  }
  return {};
}

std::optional<Schedule> schedule_from_name(std::string_view name) {
  for (const auto& row : kSchedules) {
    if (row.name == name) return row.schedule;
  }
  return std::nullopt;
}

void Options::validate() const {
  const auto at_least = [](double value, double least) {
    return std::isfinite(value) && value >= least;
  };
  const auto share = [](double value) { return value >= 0 && value < 1; };
  expect(at_least(learning_rate, 0), "learning_rate", "a number of at least 0", learning_rate);
  expect(at_least(warmup, 0), "warmup", "a share below 1 or a number of steps", warmup);
  expect(min_learning_rate >= 0 && min_learning_rate <= 1, "min_learning_rate",
         "a share from 0 to 1", min_learning_rate);
  expect(share(beta1), "beta1", "a number from 0 to below 1", beta1);
  expect(share(beta2), "beta2", "a number from 0 to below 1", beta2);
  expect(std::isfinite(epsilon) && epsilon > 0, "epsilon", "a number above 0", epsilon);
  expect(at_least(weight_decay, 0), "weight_decay", "a number of at least 0", weight_decay);
  expect(std::isfinite(loraplus_lr_ratio) && loraplus_lr_ratio > 0, "loraplus_lr_ratio",
         "a number above 0", loraplus_lr_ratio);
  expect(at_least(clip, 0), "clip", "a number of at least 0", clip);
  expect(max_steps >= 0, "max_steps", "a number of at least 0", max_steps);
  expect(max_steps > 0 || (std::isfinite(epochs) && epochs > 0), "epochs", "a number above 0",
         epochs);
  expect(batch >= 1, "batch", "a number of at least 1", batch);
  expect(accumulate >= 1, "accumulate", "a number of at least 1", accumulate);
  const auto at_most = [](std::int64_t most) { return "at most " + std::to_string(most); };
  expect(batch <= kMostBatch, "batch", at_most(kMostBatch), batch);
  expect(accumulate <= kMostAccumulate, "accumulate", at_most(kMostAccumulate), accumulate);
  expect(length <= kMostLength, "length", at_most(kMostLength), length);
  expect(length >= 2, "length", "a number of at least 2", length);
  expect(save_every >= 0, "save_every", "a number of at least 0", save_every);
  expect(evaluate_every >= 0, "evaluate_every", "a number of at least 0", evaluate_every);
  expect(patience >= 0, "patience", "a number of at least 0", patience);
}

}  // namespace qloft::train
