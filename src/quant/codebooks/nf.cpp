// NormalFloat of 2 bits and more: LoftQ's create_normal_map with offset 0.9677083; at 4 bits
// QLoRA's NF4.

#include <algorithm>

#include "codebooks/linspace.h"
#include "codebooks/normal_quantile.h"
#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> normal_float_values(const Format& format) {
  // One value more above zero than below; quantiles at f32 probabilities as torch makes them.
  const float offset = 0.9677083f;
  const int half = 1 << (format.bits - 1);
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

}  // namespace

constinit const CodebookRow kNormalFloat = {
    .name = "nf", .bits = {2, 8}, .values = normal_float_values, .block_scale = symmetric_scale};

}  // namespace qloft::quant
