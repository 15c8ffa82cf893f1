// The code that minimises the mean squared error of a block of normal values that are scaled by the
// block's rule (Lloyd 1982, Max 1960).

#include <algorithm>
#include <cmath>
#include <numbers>

#include "codebooks/row.h"

namespace qloft::quant {
namespace {

// A symmetric density on [-limit, limit], tabulated on cells of the positive half: running masses
// and first moments, so that a cell's mean is two look-ups.
class Density {
 public:
  Density(double limit, int cells)
      : width_(limit / cells),
        mass_(static_cast<std::size_t>(cells) + 1),
        moment_(static_cast<std::size_t>(cells) + 1) {}

  double middle(int cell) const { return (cell + 0.5) * width_; }
  void set(int cell, double density) {
    mass_[static_cast<std::size_t>(cell) + 1] = density * width_;
    moment_[static_cast<std::size_t>(cell) + 1] = density * width_ * middle(cell);
  }
  void add_at_limit(double mass) {
    mass_.back() += mass;
    moment_.back() += mass * width_ * static_cast<double>(mass_.size() - 1);
  }
  void accumulate() {
    for (std::size_t i = 1; i < mass_.size(); ++i) {
      mass_[i] += mass_[i - 1];
      moment_[i] += moment_[i - 1];
    }
  }
  double mean(double from, double to) const {
    const double mass = at(mass_, to) - at(mass_, from);
    return mass > 0 ? (at(moment_, to) - at(moment_, from)) / mass : (from + to) / 2;
  }
  // Where `count` values lie that are as dense as the cube root of the density: the optimum for
  // many values (Panter & Dite 1951), the start for few.
  std::vector<double> compressed_quantiles(int count) const {
    std::vector<double> running(mass_.size(), 0.0);
    for (std::size_t i = 1; i < mass_.size(); ++i) {
      running[i] = running[i - 1] + std::cbrt(mass_[i] - mass_[i - 1]);
    }
    std::vector<double> out;
    std::size_t cell = 0;
    for (int i = 0; i < count; ++i) {
      const double wanted = running.back() * (i + 0.5) / count;
      while (running[cell + 1] < wanted) ++cell;
      out.push_back((static_cast<double>(cell) + 0.5) * width_);
    }
    return out;
  }
  double limit() const { return width_ * static_cast<double>(mass_.size() - 1); }

 private:
  double at(const std::vector<double>& running, double x) const {
    const double position = std::clamp(x / width_, 0.0, static_cast<double>(running.size() - 1));
    const auto cell = std::min(static_cast<std::size_t>(position), running.size() - 2);
    const double part = position - static_cast<double>(cell);
    return running[cell] + part * (running[cell + 1] - running[cell]);
  }

  double width_;
  std::vector<double> mass_;
  std::vector<double> moment_;
};

double gaussian(double x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}

// Normal values over the largest magnitude M of their block of n, weighted by M^2, as their squared
// error counts in the block: f_M(m) = 2 n phi(m) P(m)^(n-1) with P(m) = erf(m / sqrt 2); the others
// are normal cut at m, the largest itself lies at 1.
Density scaled_by_largest(std::int64_t n) {
  constexpr int kCells = 2048;
  constexpr int kLargest = 96;
  constexpr double kEnd = 7;
  Density density(1, kCells);
  std::vector<double> at(kCells, 0.0);
  double at_limit = 0;
  for (int k = 0; k < kLargest; ++k) {
    const double m = (k + 0.5) * kEnd / kLargest;
    const double inside = std::erf(m / std::numbers::sqrt2);
    const double count = static_cast<double>(n);
    const double weight = m * m * 2 * count * gaussian(m) * std::pow(inside, count - 1);
    at_limit += weight / 2;
    const double others = weight * (count - 1) * m / inside;
    for (int c = 0; c < kCells; ++c) {
      at[static_cast<std::size_t>(c)] += others * gaussian(m * density.middle(c));
    }
  }
  for (int c = 0; c < kCells; ++c) density.set(c, at[static_cast<std::size_t>(c)]);
  density.add_at_limit(at_limit);
  density.accumulate();
  return density;
}

Density normal() {
  constexpr int kCells = 4096;
  Density density(7, kCells);
  for (int c = 0; c < kCells; ++c) density.set(c, gaussian(density.middle(c)));
  density.accumulate();
  return density;
}

// The positive half of Lloyd's and Max's fixed point: each value the mean of its cell, each border
// halfway between values.
std::vector<double> fixed_point(const Density& density, int half) {
  std::vector<double> values = density.compressed_quantiles(half);
  for (int iteration = 0; iteration < 4000; ++iteration) {
    double moved = 0;
    double from = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double to = i + 1 < values.size() ? (values[i] + values[i + 1]) / 2 : density.limit();
      const double mean = density.mean(from, to);
      moved = std::max(moved, std::abs(mean - values[i]));
      values[i] = mean;
      from = to;
    }
    if (moved < 1e-9) break;
  }
  return values;
}

std::vector<float> lloyd_values(const Format& format) {
  const int half = 1 << (format.bits - 1);
  const std::int64_t n = format.block == 0 ? 4096 : format.block;
  std::vector<double> values;
  if (format.scale_rule == ScaleRule::absmax || format.bits > 4) {
    values = fixed_point(scaled_by_largest(n), half);
  } else {
    values = fixed_point(normal(), half);
  }
  // A fitted scale takes up any factor, so the outermost value is 1 there.
  const double unit = format.scale_rule == ScaleRule::mse ? values.back() : 1.0;
  std::vector<float> out;
  for (auto it = values.rbegin(); it != values.rend(); ++it) {
    out.push_back(static_cast<float>(-*it / unit));
  }
  for (const double value : values) out.push_back(static_cast<float>(value / unit));
  return out;
}

}  // namespace

constinit const CodebookRow kLloyd = {.name = "lloyd",
                                      .bits = {1, 8},
                                      .values_by_block = true,
                                      .values = lloyd_values,
                                      .block_scale = symmetric_scale};

}  // namespace qloft::quant
