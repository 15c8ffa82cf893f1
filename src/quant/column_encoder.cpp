#include <algorithm>

#include "codebook.h"
#include "qloft/kernels.h"
#include "qloft/quant.h"

namespace qloft::quant {

std::int64_t ColumnEncoder::rows_together(const Format& format) {
  return format.codebook == Codebook::trellis ? kernels::kTrellisRows : 1;
}

ColumnEncoder::ColumnEncoder(const Format& format)
    : book_(codebook_of(format)), workspace_(book_.multiplier != 0 ? kernels::kSearchBytes : 0) {}

void ColumnEncoder::encode(const float* x, const float* scales, const float* offsets,
                           std::int64_t count, std::uint8_t* codes, float* values) {
  if (book_.multiplier != 0) {
    kernels::table().search(book_, x, scales, count, workspace_.data(), codes);
    std::uint16_t window = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      values[i] = scales[i] * kernels::next_trellis_value(book_, codes[i], window);
    }
    return;
  }
  // By threshold, so that elements are beside each other in a vector.
  constexpr std::int64_t kAtOnce = 32;
  for (std::int64_t first = 0; first < count; first += kAtOnce) {
    const std::int64_t part = std::min(kAtOnce, count - first);
    float at[kAtOnce];
    std::int32_t found[kAtOnce] = {};
    const auto offset = [&](std::int64_t i) {
      return offsets != nullptr ? offsets[first + i] : 0.f;
    };
    for (std::int64_t i = 0; i < part; ++i) {
      at[i] = (x[first + i] - offset(i)) / std::max(scales[first + i], 1e-38f);
    }
    for (int t = 0; t + 1 < book_.levels; ++t) {
      for (std::int64_t i = 0; i < part; ++i) found[i] += at[i] > book_.thresholds[t] ? 1 : 0;
    }
    for (std::int64_t i = 0; i < part; ++i) {
      codes[first + i] = static_cast<std::uint8_t>(found[i]);
      values[first + i] = scales[first + i] * book_.values[found[i]] + offset(i);
    }
  }
}

}  // namespace qloft::quant
