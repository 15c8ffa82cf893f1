#pragma once
// What is left of a weight, as the loops need it.

#include "steps.h"

namespace qloft::decompose {

// work.residual <- W - Q; its squared Frobenius norm.
double take_residual(const quant::PackedMatrix& q, Work& work);
// The same into work.bytes.
double take_residual_in_bytes(const quant::PackedMatrix& q, Work& work);
// The squared Frobenius norm of target - Q.
double squared_distance(MatrixView<const float> target, const quant::PackedMatrix& q);
// work.bytes <- work.residual; its squared norm.
double to_bytes(Work& work);
// work.residual <- W.
void take_weight(Work& work);
// work.residual <- work.residual - s B A.
void subtract_product(Work& work, const Decomposition& found);
// work.residual <- W - s B A; under the plain norm with B and A rounded to 8 bits where there are
// work.bytes.
void take_target(Work& work, const Decomposition& found);
// work.residual, whose squared Frobenius norm is given, goes into the metric's coordinates; its
// squared norm there.
double enter_metric(Work& work, double squared_norm);
// work.residual <- W in the metric's coordinates; its squared norm there.
double take_weight_in_metric(Work& work);
// Adds the errors of an iteration: squared, of W - Q - s B A.
void record(const Work& work, double squared_norm, double squared_metric, Decomposition& result);

}  // namespace qloft::decompose
