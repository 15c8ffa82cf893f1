#pragma once

namespace qloft::quant {

// The quantile function of the standard normal distribution, to double precision.
double normal_quantile(double probability);

}  // namespace qloft::quant
