#include "codebook.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <numbers>
#include <string>
#include <tuple>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::quant {
namespace {

// torch.linspace in f32: it counts from both ends and rounds once a value.
std::vector<float> linspace(float start, float end, int count) {
  std::vector<float> out(static_cast<std::size_t>(count), start);
  if (count < 2) return out;
  const float step = (end - start) / static_cast<float>(count - 1);
  for (int i = 0; i < count; ++i) {
    const double from_start = static_cast<double>(step) * i + start;
    const double from_end = end - static_cast<double>(step) * (count - 1 - i);
    out[static_cast<std::size_t>(i)] = static_cast<float>(i < count / 2 ? from_start : from_end);
  }
  return out;
}

// Keyed by what the values depend on; -1 as the code book marks a second level.
using Key = std::tuple<int, int, std::int64_t, int>;

const kernels::Codebook& cached(const Key& key, std::vector<float> (*make)(const Key&)) {
  static std::mutex mutex;
  static std::map<Key, std::unique_ptr<const kernels::Codebook>> books;
  const std::lock_guard lock(mutex);
  auto& book = books[key];
  if (!book) {
    const std::vector<float> values = make(key);
    auto made = std::make_unique<kernels::Codebook>();
    const int bits = std::get<1>(key);
    const bool trellis = std::get<0>(key) == static_cast<int>(Codebook::trellis);
    kernels::prepare(*made, values.data(), static_cast<int>(values.size()), bits,
                     trellis ? trellis_multiplier(bits) : std::uint16_t{0});
    book = std::move(made);
  }
  return *book;
}

std::vector<float> first_level(const Key& key) {
  const auto& [codebook, bits, block, rule] = key;
  switch (static_cast<Codebook>(codebook)) {
    case Codebook::nf:
      return normal_float(bits);
    case Codebook::uniform:
    case Codebook::uniform_asymmetric:
      return linspace(-1.f, 1.f, 1 << bits);
    case Codebook::lloyd:
      return lloyd_values(bits, block, static_cast<ScaleRule>(rule));
    case Codebook::binary:
      return {-1.f, 1.f};
    case Codebook::ternary:
      return {-1.f, 0.f, 1.f};
    case Codebook::residual_binary:
      return residual_binary_values(bits);
    case Codebook::trellis:
      return trellis_values();
  }
  return {};
}

std::vector<float> second_level(const Key& key) {
  const auto& [marker, bits, unused, code] = key;
  if (static_cast<ScaleCode>(code) == ScaleCode::dynamic) return dynamic_map();
  return linspace(0.f, 1.f, 1 << bits);
}

}  // namespace

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

std::vector<float> normal_float(int bits) {
  // One value more above zero than below; quantiles at f32 probabilities as torch makes them.
  const float offset = 0.9677083f;
  const int half = 1 << (bits - 1);
  std::vector<float> values = {0.f};
  const std::vector<float> above = linspace(offset, 0.5f, half + 1);
  const std::vector<float> below = linspace(offset, 0.5f, half);
  for (int i = 0; i < half; ++i) {
    values.push_back(static_cast<float>(normal_quantile(above[static_cast<std::size_t>(i)])));
  }
  for (int i = 0; i + 1 < half; ++i) {
    values.push_back(static_cast<float>(-normal_quantile(below[static_cast<std::size_t>(i)])));
  }
  std::sort(values.begin(), values.end());
  const float largest = values.back();
  for (float& value : values) value /= largest;
  return values;
}

std::vector<float> dynamic_map() {
  // Seven decades; decade i has 2^i values a sign, the middles of an even division of [0.1, 1].
  constexpr int kDecades = 7;
  std::vector<float> values = {0.f, 1.f};
  for (int i = 0; i < kDecades; ++i) {
    const std::vector<float> edges = linspace(0.1f, 1.f, (1 << i) + 1);
    const double power = std::pow(10.0, i - (kDecades - 1));
    for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
      const float middle = (edges[k] + edges[k + 1]) / 2.f;
      const float value = static_cast<float>(power) * middle;
      values.push_back(value);
      values.push_back(-value);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<float> residual_binary_values(int bits) {
  // Magnitudes of normal values at the middles of equally likely cells, and what each bit leaves.
  constexpr int kCells = 1 << 14;
  std::vector<double> left;
  for (int i = 0; i < kCells; ++i) {
    left.push_back(normal_quantile(0.5 + (i + 0.5) / (2.0 * kCells)));
  }
  std::vector<double> values = {0.0};
  double sum = 0;
  for (int bit = 0; bit < bits; ++bit) {
    double factor = 0;
    for (const double magnitude : left) factor += magnitude / kCells;
    for (double& magnitude : left) magnitude = std::abs(magnitude - factor);
    std::vector<double> next;
    for (const double value : values) {
      next.push_back(value - factor);
      next.push_back(value + factor);
    }
    values = std::move(next);
    sum += factor;
  }
  std::sort(values.begin(), values.end());
  std::vector<float> out;
  for (const double value : values) out.push_back(static_cast<float>(value / sum));
  return out;
}

const kernels::Codebook& codebook_of(const Format& format) {
  const bool fitted = format.codebook == Codebook::lloyd;
  return cached({static_cast<int>(format.codebook), format.bits, fitted ? format.block : 0,
                 fitted ? static_cast<int>(format.scale_rule) : 0},
                first_level);
}

const kernels::Codebook& codebook_of(const SecondLevel& second) {
  return cached({-1, second.bits, 0, static_cast<int>(second.code)}, second_level);
}

std::vector<float> code_values(const Format& format) {
  format.validate();
  const kernels::Codebook& book = codebook_of(format);
  return {book.values, book.values + book.levels};
}

std::vector<float> code_values(const SecondLevel& second) {
  Format format;
  format.second_level = second;
  format.validate();
  const kernels::Codebook& book = codebook_of(second);
  return {book.values, book.values + book.levels};
}

}  // namespace qloft::quant
