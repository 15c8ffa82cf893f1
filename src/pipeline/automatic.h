#pragma once
// What quantize's options mean where they leave something to it: the method `auto`, `data`, a size,
// or bits that are no whole number.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "qloft/core/progress.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/quantize.h"

namespace qloft::pipeline {

struct Resolved {
  QuantizeOptions options;  // a named method with the statistics and the plan that it needs
  std::string chosen;       // of the method auto: what was chosen, and why; else empty
  std::string reason;
};

// Whether the method's metric needs any.
bool needs_statistics(const QuantizeOptions& options);

// Whether anything is, or options are given that resolve() looks at.
bool leaves_open(const QuantizeOptions& options);

// The same without making statistics or a plan: as much of the options as can be looked at before.
QuantizeOptions without_work(const QuantizeOptions& options);

// How the data are drawn, and of which model.
CalibrateOptions calibration_of(const QuantizeOptions& options);

// Of a text or rows: as long as calibrate's, or as the model and the text allow.
std::int64_t sequence_length(const QuantizeOptions& options, const std::filesystem::path& model);

// Makes the statistics and the plan in OUTPUT.work, where an interrupted run of the same work finds
// them. Throws as calibrate and plan do.
Resolved resolve(const QuantizeOptions& options, Progress& progress);

// Removes what these made in OUTPUT.work. Throws SystemError for what cannot be removed.
void remove_work(const QuantizeOptions& options);

// quantize() with a recovery at the end. `quantize_only`: without.
QuantizeReport quantize_and_recover(
    const QuantizeOptions& options, Progress& progress,
    const std::function<QuantizeReport(const QuantizeOptions&, Progress&)>& quantize_only);

}  // namespace qloft::pipeline
