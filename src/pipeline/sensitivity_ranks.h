#pragma once
// How well the errors of matrices rank them by what they cost.

#include <vector>

#include "qloft/pipeline/sensitivity.h"

namespace qloft::pipeline {

// Over all matrices, then over those of each kind, in the order in which kinds come: Spearman's
// correlations, empty of fewer than three matrices and where all values are equal.
std::vector<SensitivityRanks> ranks_of(const std::vector<SensitiveMatrix>& matrices);

}  // namespace qloft::pipeline
