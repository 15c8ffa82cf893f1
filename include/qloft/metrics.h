#pragma once
// metrics: predictions and references to the scores that papers report. Pure functions; no model,
// no file. Lists that are held against each other have the same length, at least one, else
// InputError.

#include <cstdint>
#include <span>

#include "qloft/metrics/rouge.h"
#include "qloft/metrics/squad.h"

namespace qloft::metrics {

// Of class numbers, as scikit-learn counts them.
using Labels = std::span<const std::int64_t>;

double accuracy(Labels predicted, Labels expected);  // 0 to 1
// 2 tp / (2 tp + fp + fn) of the class `positive`; 0 where that is 0 / 0.
double f1(Labels predicted, Labels expected, std::int64_t positive = 1);
// The mean of f1 over the classes that either side has (scikit-learn's average="macro").
double macro_f1(Labels predicted, Labels expected);
// Matthews' correlation, of two classes or more (Gorodkin 2004), -1 to 1; 0 where either side is of
// one class.
double matthews(Labels predicted, Labels expected);

// Of finite numbers, as scipy has them, -1 to 1; not a number where either side is constant. At
// least two pairs, else InputError.
double pearson(std::span<const double> predicted, std::span<const double> expected);
// Pearson's of the ranks; equal values have the mean of their ranks.
double spearman(std::span<const double> predicted, std::span<const double> expected);
double mean_squared_error(std::span<const double> predicted, std::span<const double> expected);

}  // namespace qloft::metrics
