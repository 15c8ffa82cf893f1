#pragma once
// What quantize's options mean where they leave something to it: the method `auto`, `data`, a size,
// or bits that are no whole number.

#include <string>

#include "qloft/core/progress.h"
#include "qloft/pipeline/quantize.h"

namespace qloft::pipeline {

struct Resolved {
  QuantizeOptions options;  // a named method with the statistics and the plan that it needs
  std::string chosen;       // of the method auto: what was chosen, and why; else empty
  std::string reason;
};

// Whether anything is.
bool leaves_open(const QuantizeOptions& options);

// The same without making statistics or a plan: as much of the options as can be looked at before.
QuantizeOptions without_work(const QuantizeOptions& options);

// Makes the statistics and the plan in OUTPUT.work, where an interrupted run of the same work finds
// them. Throws as calibrate and plan do.
Resolved resolve(const QuantizeOptions& options, Progress& progress);

// Removes OUTPUT.work.
void remove_work(const QuantizeOptions& options);

}  // namespace qloft::pipeline
