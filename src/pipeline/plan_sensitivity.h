#pragma once
// Errors of a plan in units of what a sensitivity report measured.

#include <filesystem>
#include <vector>

#include "qloft/plan.h"
#include "targets.h"

namespace qloft::pipeline {

// Multiplies each matrix's errors so that the one of the format nearest to that of the report (of
// ranks the nearest to its) is the divergence that was measured; where that is less than a tenth of
// the mean, which is within what a short text tells, a tenth of the mean. Throws InputError for a
// file that is no sensitivity report, one without a matrix of the table, and one by which nothing
// costs anything.
void weigh_by_sensitivity(const std::filesystem::path& report,
                          const std::vector<QuantizeTarget>& targets, plan::Table& table);

}  // namespace qloft::pipeline
