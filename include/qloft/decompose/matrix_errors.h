#pragma once
// What an approximation of a matrix loses, by several norms at once, and what stands out in the
// matrix itself. Without damping: what is measured, not what is minimised.

#include <cstdint>
#include <optional>
#include <string_view>

#include "qloft/core/matrix.h"
#include "qloft/decompose.h"

namespace qloft::decompose {

// W [rows, columns] = [out, in], E = W - its approximation, H the Gram matrix of the inputs, r the
// Fisher information's row factors. What needs a statistic that is not there is empty. A ratio
// whose divisor is 0 is 0.
struct MatrixErrors {
  double squared = 0;       // ||E||^2
  double relative = 0;      // ||E|| / ||W||
  double worst_output = 0;  // the largest ||E_i|| / ||W_i|| of a row
  double worst_input = 0;   // the largest ||E_j|| / ||W_j|| of a column
  double tail = 0;          // ||E|| / ||W|| over the thousandth of the weights that are largest
  std::optional<double> gram_squared;         // tr(E H E^T)
  std::optional<double> gram;                 // its root over that of tr(W H W^T)
  std::optional<double> fisher_gram_squared;  // sum of r_i^2 (E H E^T)_ii
  std::optional<double> fisher_gram;          // its root over that of the same of W
  // What the loss of a token rises by to second order, over the predictions of a sequence that the
  // Fisher information was collected on: columns / (2 tr H) times fisher_gram_squared. With
  // gradients g of the loss by the outputs that are independent of each other and of the inputs,
  // r_i^2 = g_i^2 tr H / (columns predictions), and the rise is sum of g_i^2 (E H E^T)_ii / 2.
  std::optional<double> loss_by_prediction;

  double weight_peak = 0;                 // the largest |W_ij| over the root of their mean square
  std::optional<double> input_peak;       // the largest H_jj over their mean
  std::optional<std::int64_t> top_input;  // the column with the largest H_jj ||E_j||^2 ...
  std::optional<double> top_share;        // ... and its share of the sum of these
};

// `approximation` [rows, columns]. On all threads; beside both it holds three matrices of their
// size. Throws InputError naming `name` where shapes disagree.
MatrixErrors matrix_errors(MatrixView<const float> weight, MatrixView<const float> approximation,
                           const Statistics& statistics, std::string_view name);

}  // namespace qloft::decompose
