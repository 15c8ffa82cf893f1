#include "codebooks/normal_quantile.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qloft::quant {

double normal_quantile(double probability) {
  if (probability > 0.5) return -normal_quantile(1 - probability);
  // A start from the tail's expansion, then Newton's steps on log of the distribution function,
  // which is concave: they converge from anywhere.
  double x = -std::sqrt(std::max(0.0, -2 * std::log(2 * probability)));
  for (int i = 0; i < 100; ++i) {
    const double below = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    const double step = below / density * std::log(below / probability);
    x -= step;
    if (std::abs(step) < 1e-15) break;
  }
  return x;
}

}  // namespace qloft::quant
