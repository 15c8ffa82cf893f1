#pragma once
// How well the errors of matrices rank them by what they cost.

#include <optional>
#include <vector>

#include "qloft/pipeline/sensitivity.h"

namespace qloft::pipeline {

// Spearman's rank correlation, equal values sharing the mean of their ranks; empty for fewer than
// three pairs, and where all of one side are equal.
std::optional<double> rank_correlation(const std::vector<double>& a, const std::vector<double>& b);

// Over all matrices, then over those of each kind, in the order in which kinds come.
std::vector<SensitivityRanks> ranks_of(const std::vector<SensitiveMatrix>& matrices);

}  // namespace qloft::pipeline
