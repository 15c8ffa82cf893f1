#pragma once
// Errors of a plan in units of what a sensitivity report measured.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "qloft/pipeline/sensitivity.h"
#include "qloft/plan.h"
#include "targets.h"

namespace qloft::pipeline {

struct MeasuredDivergences {
  std::map<std::string, SensitiveMatrix> matrices;  // by weight
  std::int64_t rank = 0;                            // of the report's adapters
  double least = 0;                                 // that a matrix counts
};

// Of a report, a tenth of the mean the least, since a short text does not tell less. Throws
// InputError for a file that is none, one without a matrix of these, and one by which nothing
// costs anything.
MeasuredDivergences read_measured(const std::filesystem::path& report,
                                  const std::vector<QuantizeTarget>& targets);
// Multiplies each matrix's errors so that the one of the format nearest to that of the report (of
// ranks the nearest to its) is the divergence that was measured.
void weigh_by(const MeasuredDivergences& measured, const std::vector<QuantizeTarget>& targets,
              plan::Table& table);

}  // namespace qloft::pipeline
