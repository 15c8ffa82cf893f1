#pragma once
// The steps that a recipe chooses: a quantizer, a low-rank solver, and the loop that alternates
// them. Each is a file with one function, and one row of a table in steps.cpp. (Metrics:
// coordinates.h.)

#include "coordinates.h"
#include "qloft/decompose.h"
#include "work.h"

namespace qloft::decompose {

// `target` ~ Q.
using Quantize = quant::PackedMatrix (*)(MatrixView<const float> target, Work& work);
quant::PackedMatrix quantize_nearest(MatrixView<const float> target, Work& work);
// `target` is W less what was taken off it. Leaves work.image.
quant::PackedMatrix quantize_gptq(MatrixView<const float> target, Work& work);

// result.a, result.b from work.residual, which is in the metric's coordinates and whose squared
// norm is given; the squared norm that is left is returned. May overwrite work.residual.
using Solve = double (*)(Work& work, double squared_norm, Decomposition& result);
double start_from_zero(Work& work, double squared_norm, Decomposition& result);
double solve_truncated_svd(Work& work, double squared_norm, Decomposition& result);
// Whether products of the matrix's size may be in 8 bits: it is large enough to forgive that, and
// to take time.
bool multiplies_in_bytes(const Work& work);
// Whether the solver takes W - Q in 8 bits, as work.bytes. It drops them, and goes on by itself,
// where they are not exact enough for what is left.
bool solves_in_bytes(const Work& work);

struct Steps {
  Quantize quantize;
  Solve solve;
};

// Fills `result`, whose factors are zero.
using RunLoop = void (*)(const Steps& steps, Work& work, Decomposition& result);
void run_once(const Steps& steps, Work& work, Decomposition& result);
void run_quantize_first(const Steps& steps, Work& work, Decomposition& result);
void run_quantize_until_best(const Steps& steps, Work& work, Decomposition& result);
void run_low_rank_first(const Steps& steps, Work& work, Decomposition& result);

// What a recipe names.
Steps steps_of(const Recipe& recipe);
RunLoop loop_of(const Recipe& recipe);
MakeCoordinates metric_of(const Recipe& recipe);

}  // namespace qloft::decompose
