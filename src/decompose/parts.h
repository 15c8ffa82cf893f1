#pragma once
// The four parts of a decomposition. Each is one file with a function, and one row in parts.cpp.
// (Metrics: coordinates.h.)

#include <cstdint>
#include <string_view>

#include "coordinates.h"
#include "qloft/core.h"
#include "qloft/decompose.h"

namespace qloft::decompose {

// What one decomposition works on, and what its parts keep between iterations.
struct Work {
  MatrixView<const float> weight;
  const Recipe& recipe;
  Coordinates coordinates;
  double weight_norm;  // Frobenius, not zero
  double metric_norm;  // of the weight in the metric, not zero
  Random random;
  // [rows, columns]: by turns the quantizer's target W - s B A and the solver's W - Q.
  Matrix residual;
  Matrix basis;  // the solver's right space of the last iteration
  // What GPTQ feeds back by in place of the coordinates' root; empty: that root.
  Matrix feedback;
};

// `target` ~ Q.
using QuantizerPart = quant::PackedMatrix (*)(MatrixView<const float> target, const Work& work);
quant::PackedMatrix quantize_nearest(MatrixView<const float> target, const Work& work);
quant::PackedMatrix quantize_gptq(MatrixView<const float> target, const Work& work);

// result.a, result.b from work.residual, which is in the metric's coordinates and whose squared
// norm is given; the squared norm that is left is returned. May overwrite work.residual.
using LowRankPart = double (*)(Work& work, double squared_norm, Decomposition& result);
double start_from_zero(Work& work, double squared_norm, Decomposition& result);
double solve_truncated_svd(Work& work, double squared_norm, Decomposition& result);

struct Parts {
  QuantizerPart quantize;
  LowRankPart solve;
};

// Fills `result`, whose factors are zero.
using LoopPart = void (*)(const Parts& parts, Work& work, Decomposition& result);
void run_once(const Parts& parts, Work& work, Decomposition& result);
void run_quantize_first(const Parts& parts, Work& work, Decomposition& result);
void run_quantize_until_best(const Parts& parts, Work& work, Decomposition& result);
void run_low_rank_first(const Parts& parts, Work& work, Decomposition& result);

// The rows for what a recipe names.
Parts parts_of(const Recipe& recipe);
LoopPart loop_of(const Recipe& recipe);
MetricPart metric_of(const Recipe& recipe);

}  // namespace qloft::decompose
