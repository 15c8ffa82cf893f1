#include "attention_blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"

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

namespace {

const std::int64_t* segments_of(const Visibility& visibility, std::int64_t row) {
  if (!visibility.segments.defined()) return nullptr;
  return visibility.segments.data_ptr<std::int64_t>() + row * visibility.segments.stride(0);
}

KeyRange keys_across(const std::int64_t* segments, std::int64_t keys) {
  KeyRange range{0, keys, false};
  if (segments == nullptr) return range;
  while (range.begin < range.end && segments[range.begin] < 0) ++range.begin;
  while (range.end > range.begin && segments[range.end - 1] < 0) --range.end;
  range.partial = range.end < keys || std::any_of(segments + range.begin, segments + range.end,
                                                  [](std::int64_t segment) { return segment < 0; });
  return range;
}

// Columns of a row of scores that lie within a bias, and where in it they begin.
struct BiasColumns {
  BiasColumns(std::int64_t query, const KeyRange& keys, std::int64_t reach, std::int64_t columns)
      : first(reach - 1 + keys.begin - query), count(std::min(columns, 2 * reach - 1 - first)) {}
  std::int64_t first, count;
};

}  // namespace

KeyRange visible_keys(const Visibility& visibility, std::int64_t row, std::int64_t past,
                      std::int64_t first, std::int64_t count, std::int64_t keys) {
  const std::int64_t* segments = segments_of(visibility, row);
  if (visibility.across) return keys_across(segments, keys);
  KeyRange range{0, visibility.causal ? past + first + count : keys, false};
  if (visibility.window > 0) {
    range.begin = std::max<std::int64_t>(0, past + first - visibility.window + 1);
    range.partial = past + first + count - visibility.window > range.begin;
    if (!visibility.causal) {
      range.end = std::min(keys, past + first + count - 1 + visibility.window);
      range.partial = range.partial || past + first + visibility.window < range.end;
    }
  }
  const std::int64_t end = range.end;
  if (segments != nullptr) {
    const std::int64_t* queries = segments + past + first;
    const auto seen = [&](std::int64_t key) {
      return segments[key] >= 0 &&
             std::find(queries, queries + count, segments[key]) != queries + count;
    };
    while (range.begin < range.end && !seen(range.begin)) ++range.begin;
    while (range.end > range.begin && !seen(range.end - 1)) --range.end;
    const auto differs = [&](std::int64_t segment) { return segment != queries[0]; };
    range.partial = range.partial || range.end < end || queries[0] < 0 ||
                    std::any_of(queries, queries + count, differs) ||
                    std::any_of(segments + range.begin, segments + range.end, differs);
  }
  return range;
}

void mask(const Visibility& visibility, std::int64_t row, std::int64_t past, std::int64_t first,
          const KeyRange& keys, std::int64_t count, MatrixView<float> scores) {
  constexpr float kMasked = -std::numeric_limits<float>::infinity();
  const std::int64_t* segments = segments_of(visibility, row);
  for (std::int64_t i = 0; i < scores.rows && visibility.across; ++i) {
    float* out = scores.row(i);
    const std::int64_t end = std::min(keys.end, count);
    for (std::int64_t j = keys.begin; keys.partial && segments != nullptr && j < end; ++j) {
      if (segments[j] < 0) out[j - keys.begin] = kMasked;
    }
    for (std::int64_t j = std::max(keys.begin, end); j < keys.end; ++j) {
      out[j - keys.begin] = kMasked;
    }
  }
  for (std::int64_t i = 0; i < scores.rows && !visibility.across; ++i) {
    const std::int64_t query = past + first + i;
    float* out = scores.row(i);
    const std::int64_t seen = visibility.causal ? query + 1 : count;
    std::int64_t end = std::min(keys.end, seen);
    if (!visibility.causal && visibility.window > 0) {
      end = std::min(end, query + visibility.window);
    }
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

void write_head(const at::Tensor& out, std::int64_t row, std::int64_t head, std::int64_t first,
                MatrixView<const float> values) {
  const std::int64_t stride = out.stride(1);
  const std::int64_t offset = row * out.stride(0) + first * stride + head * out.stride(2);
  for (std::int64_t i = 0; i < values.rows; ++i) {
    if (out.scalar_type() == at::kFloat) {
      std::copy_n(values.row(i), values.columns, out.data_ptr<float>() + offset + i * stride);
    } else {
      auto* to = reinterpret_cast<BFloat16*>(out.data_ptr<at::BFloat16>()) + offset + i * stride;
      kernels::table().f32_to_bf16(values.row(i), values.columns, to);
    }
  }
}

void finish_scores(const Scores& rule, std::int64_t head, std::int64_t first, const KeyRange& keys,
                   MatrixView<float> scores, float* cap_slopes) {
  const float slope = rule.slopes.empty() ? 0.f : rule.slopes[static_cast<std::size_t>(head)];
  if (rule.soft_cap == 0 && slope == 0 && !rule.bias.defined()) return;
  const std::int64_t distances = rule.bias.defined() ? rule.bias.size(1) : 0;
  const float* bias =
      rule.bias.defined() ? rule.bias.data_ptr<float>() + head * distances : nullptr;
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    float* row = scores.row(i);
    for (std::int64_t j = 0; rule.soft_cap != 0 && j < scores.columns; ++j) {
      const float t = std::tanh(row[j] / rule.soft_cap);
      row[j] = rule.soft_cap * t;
      if (cap_slopes != nullptr) cap_slopes[i * scores.columns + j] = 1.f - t * t;
    }
    for (std::int64_t j = 0; slope != 0 && j < scores.columns; ++j) {
      row[j] -= slope * static_cast<float>(first + i - keys.begin - j);
    }
    if (bias == nullptr) continue;
    const BiasColumns at(first + i, keys, (distances + 1) / 2, scores.columns);
    for (std::int64_t j = 0; j < at.count; ++j) row[j] += bias[at.first + j];
  }
}

void add_by_distance(MatrixView<const float> gradient, std::int64_t first, const KeyRange& keys,
                     std::int64_t reach, float* sums) {
  for (std::int64_t i = 0; i < gradient.rows; ++i) {
    const BiasColumns at(first + i, keys, reach, gradient.columns);
    const float* row = gradient.row(i);
    for (std::int64_t j = 0; j < at.count; ++j) sums[at.first + j] += row[j];
  }
}

void apply_cap_slopes(const Scores& rule, const float* slopes, MatrixView<float> gradient) {
  for (std::int64_t i = 0; rule.soft_cap != 0 && i < gradient.size(); ++i) {
    gradient.data[i] *= slopes[i];
  }
}

float softmax(float* scores, std::int64_t count) {
  const kernels::DenseTable& dense = kernels::dense_table();
  const float largest = dense.largest(scores, count);
  if (largest == -std::numeric_limits<float>::infinity()) {
    std::fill_n(scores, count, 0.f);
    return largest;
  }
  const float sum = dense.exponentials(scores, count, largest);
  const float inverse = 1.f / sum;
  for (std::int64_t j = 0; j < count; ++j) scores[j] *= inverse;
  return largest + std::log(sum);
}

void to_score_gradients(float* p, float* dp, std::int64_t count, float scale, float log_sum,
                        float dot) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  if (log_sum == kHidden) {
    std::fill_n(p, count, 0.f);
    std::fill_n(dp, count, 0.f);
    return;
  }
  // Hidden scores come out below e^-87: nothing beside the others.
  kernels::dense_table().softmax_gradient(p, dp, count, scale, log_sum, dot);
}

}  // namespace qloft::backend
