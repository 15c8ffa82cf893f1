#pragma once
// A gradient's share of the Fisher sums of a weight.

#include <ATen/core/Tensor.h>

#include "qloft/calibrate.h"

namespace qloft::calibrate {

// The means of the squares of g = gradient^T input by row and by column; of a slice its share.
void add_squares(const at::Tensor& input, const model::Observer::OutputGradient& gradient,
                 FisherSums& sums);

}  // namespace qloft::calibrate
