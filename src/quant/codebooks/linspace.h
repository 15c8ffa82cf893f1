#pragma once

#include <cstddef>
#include <vector>

namespace qloft::quant {

// torch.linspace in f32: it counts from both ends and rounds once a value.
inline std::vector<float> linspace(float start, float end, int count) {
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

}  // namespace qloft::quant
