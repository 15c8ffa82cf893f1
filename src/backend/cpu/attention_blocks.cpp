#include "attention_blocks.h"

#include <algorithm>
#include <limits>

#include "qloft/kernels.h"

namespace qloft::backend {

MatrixView<const float> read_head(const at::Tensor& tensor, std::int64_t row, std::int64_t head,
                                  std::int64_t positions, bool head_first, Scratch slot) {
  const std::int64_t dim = tensor.size(3);
  const std::int64_t stride = tensor.stride(head_first ? 2 : 1);
  const std::int64_t offset = row * tensor.stride(0) + head * tensor.stride(head_first ? 1 : 2);
  if (tensor.scalar_type() == at::kFloat) {
    return {tensor.data_ptr<float>() + offset, positions, dim, stride};
  }
  const auto* from = reinterpret_cast<const BFloat16*>(tensor.data_ptr<at::BFloat16>()) + offset;
  float* to = scratch(slot, positions * dim);
  for (std::int64_t i = 0; i < positions; ++i) {
    kernels::table().bf16_to_f32(from + i * stride, dim, to + i * dim);
  }
  return {to, positions, dim};
}

KeyRange visible_keys(const Visibility& visibility, std::int64_t row, std::int64_t past,
                      std::int64_t first, std::int64_t count) {
  KeyRange range{0, past + first + count, false};
  if (visibility.window > 0) {
    range.begin = std::max<std::int64_t>(0, past + first - visibility.window + 1);
    range.partial = past + first + count - visibility.window > range.begin;
  }
  if (visibility.segments.defined()) {
    const std::int64_t* segments =
        visibility.segments.data_ptr<std::int64_t>() + row * visibility.segments.stride(0);
    const std::int64_t* queries = segments + past + first;
    const auto seen = [&](std::int64_t key) {
      return segments[key] >= 0 &&
             std::find(queries, queries + count, segments[key]) != queries + count;
    };
    while (range.begin < range.end && !seen(range.begin)) ++range.begin;
    while (range.end > range.begin && !seen(range.end - 1)) --range.end;
    const auto differs = [&](std::int64_t segment) { return segment != queries[0]; };
    range.partial = range.partial || range.end < past + first + count || queries[0] < 0 ||
                    std::any_of(queries, queries + count, differs) ||
                    std::any_of(segments + range.begin, segments + range.end, differs);
  }
  return range;
}

void mask(const Visibility& visibility, std::int64_t row, std::int64_t past, std::int64_t first,
          const KeyRange& keys, MatrixView<float> scores) {
  constexpr float kMasked = -std::numeric_limits<float>::infinity();
  const std::int64_t* segments =
      visibility.segments.defined()
          ? visibility.segments.data_ptr<std::int64_t>() + row * visibility.segments.stride(0)
          : nullptr;
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    const std::int64_t query = past + first + i;
    float* out = scores.row(i);
    const std::int64_t end = std::min(keys.end, query + 1);
    for (std::int64_t j = std::max(keys.begin, end); j < keys.end; ++j)
      out[j - keys.begin] = kMasked;
    if (!keys.partial) continue;
    const std::int64_t nearest = visibility.window > 0 ? query - visibility.window + 1 : keys.begin;
    for (std::int64_t j = keys.begin; j < std::min(nearest, end); ++j) {
      out[j - keys.begin] = kMasked;
    }
    if (segments == nullptr) continue;
    for (std::int64_t j = keys.begin; j < end; ++j) {
      if (segments[j] != segments[query] || segments[query] < 0) out[j - keys.begin] = kMasked;
    }
  }
}

}  // namespace qloft::backend
