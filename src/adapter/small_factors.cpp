#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/adapter.h"

namespace qloft::adapter {
namespace {

// Root mean squares: below the first f8, whose values are 1/512 apart there, tells few apart.
constexpr double kSmallestUsual = 1.0 / 128;
constexpr double kWanted = 1.0 / 16;
constexpr double kGreatest = 64;  // of single values; the type's is 448

double root_mean_square(const Matrix& m, std::int64_t k, bool row) {
  const std::int64_t count = row ? m.columns() : m.rows();
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = row ? m(k, i) : m(i, k);
    sum += value * value;
  }
  return std::sqrt(sum / static_cast<double>(count));
}

// a's row k times `factor`, b's column k the other way.
void shift(Factors& factors, std::int64_t k, float factor) {
  for (float& value : factors.a.values().subspan(static_cast<std::size_t>(k * factors.a.columns()),
                                                 static_cast<std::size_t>(factors.a.columns()))) {
    value *= factor;
  }
  for (std::int64_t i = 0; i < factors.b.rows(); ++i) factors.b(i, k) /= factor;
}

}  // namespace

void raise_small_factors(Adapter& adapter) {
  std::vector<double> sizes;  // by component: of A and B alike
  float greatest = 0;
  for (auto& [module, factors] : adapter.modules) {
    for (std::int64_t k = 0; k < factors.a.rows(); ++k) {
      const double a = root_mean_square(factors.a, k, true);
      const double b = root_mean_square(factors.b, k, false);
      if (a == 0 || b == 0) continue;
      sizes.push_back(std::sqrt(a * b));
      if (std::min(a, b) < kSmallestUsual) {
        shift(factors, k, static_cast<float>(std::exp2(std::round(0.5 * std::log2(b / a)))));
      }
    }
  }
  for (const auto& [module, factors] : adapter.modules) {
    for (const Matrix* factor : {&factors.a, &factors.b}) {
      for (const float value : factor->values()) greatest = std::max(greatest, std::abs(value));
    }
  }
  if (sizes.empty()) return;
  const auto middle = sizes.begin() + std::ssize(sizes) / 2;
  std::ranges::nth_element(sizes, middle);
  if (*middle >= kSmallestUsual) return;
  const double power =
      std::exp2(std::floor(std::log2(std::min(kWanted / *middle, kGreatest / greatest))));
  if (power <= 1) return;
  for (auto& [module, factors] : adapter.modules) {
    for (Matrix* factor : {&factors.a, &factors.b}) {
      for (float& value : factor->values()) value *= static_cast<float>(power);
    }
  }
  adapter.config.alpha /= power * power;
  for (auto& [module, alpha] : adapter.config.alpha_pattern) alpha /= power * power;
}

}  // namespace qloft::adapter
