#pragma once
// What a run tells about itself while it goes: metrics.jsonl and TensorBoard's events.

#include <cstdint>
#include <filesystem>
#include <string>

#include "event_file.h"
#include "log_file.h"

namespace qloft::train {

inline constexpr std::string_view kMetricsFile = "metrics.jsonl";
inline constexpr std::string_view kEventPrefix = "events.out.tfevents.";

struct StepMetrics {
  std::int64_t step = 0;  // done, from 1
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;      // before clipping
  std::int64_t tokens = 0;       // since the beginning
  double tokens_per_second = 0;  // of this step
  double seconds = 0;            // since the beginning
};

class Metrics {
 public:
  // step 0: a new run; what an earlier one left in `folder` is removed. Else the run goes on after
  // `step`: later lines of metrics.jsonl are cut off, and events of later steps declared void.
  Metrics(const std::filesystem::path& folder, std::int64_t step);

  void step(const StepMetrics& metrics);
  // A line {"step", name: value}.
  void validation(std::int64_t step, const std::string& name, double value);

 private:
  LogFile lines_;
  EventFile events_;
};

// Cuts metrics.jsonl before the first line that is broken or of a step after `step`.
void truncate_metrics(const std::filesystem::path& file, std::int64_t step);

}  // namespace qloft::train
