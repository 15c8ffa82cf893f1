// Sums of one sign for every bit times the factors of residual binarization.

#include <algorithm>
#include <cmath>
#include <utility>

#include "codebooks/normal_quantile.h"
#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> residual_binary_values(const Format& format) {
  // Magnitudes of normal values at the middles of equally likely cells, and what each bit leaves.
  constexpr int kCells = 1 << 14;
  std::vector<double> left;
  left.reserve(kCells);
  for (int i = 0; i < kCells; ++i) {
    left.push_back(normal_quantile(0.5 + (i + 0.5) / (2.0 * kCells)));
  }
  std::vector<double> values = {0.0};
  double sum = 0;
  for (int bit = 0; bit < format.bits; ++bit) {
    double factor = 0;
    for (const double magnitude : left) factor += magnitude / kCells;
    for (double& magnitude : left) magnitude = std::abs(magnitude - factor);
    std::vector<double> next;
    next.reserve(2 * values.size());
    for (const double value : values) {
      next.push_back(value - factor);
      next.push_back(value + factor);
    }
    values = std::move(next);
    sum += factor;
  }
  std::sort(values.begin(), values.end());
  std::vector<float> out;
  out.reserve(values.size());
  for (const double value : values) out.push_back(static_cast<float>(value / sum));
  return out;
}

}  // namespace

constinit const CodebookRow kResidualBinary = {.name = "residual-binary",
                                               .bits = {1, 4},
                                               .values = residual_binary_values,
                                               .block_scale = symmetric_scale};

}  // namespace qloft::quant
