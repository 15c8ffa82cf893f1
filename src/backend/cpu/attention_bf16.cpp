#include "attention_bf16.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "attention_blocks.h"
#include "bf16_blocks.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using Heads = MatrixView<const BFloat16>;

constexpr std::int64_t kTile = kBlockRows * kBlockRows;
constexpr float kHidden = -std::numeric_limits<float>::infinity();

Heads head_of(const Tensor& tensor, std::int64_t row, std::int64_t head, std::int64_t positions,
              bool head_first = false) {
  const std::int64_t offset = row * tensor.stride(0) + head * tensor.stride(head_first ? 1 : 2);
  return {reinterpret_cast<const BFloat16*>(tensor.data_ptr<at::BFloat16>()) + offset, positions,
          tensor.size(3), tensor.stride(head_first ? 2 : 1)};
}

Heads rows_of_block(const Heads& head, std::int64_t first) {
  return head.block(first, 0, std::min(kBlockRows, head.rows - first), head.columns);
}

void round_to_bf16(const float* x, std::int64_t count, BFloat16* out) {
  kernels::table().f32_to_bf16(x, count, out);
}

void multiply_by(float factor, float* x, std::int64_t count) {
  for (std::int64_t i = 0; factor != 1.f && i < count; ++i) x[i] *= factor;
}

// Blocks [begin, end) of keys that hold a range; `partial` as in KeyRange.
struct KeyBlocks {
  std::int64_t begin, end;
  bool partial;

  explicit KeyBlocks(const KeyRange& range)
      : begin(range.begin / kBlockRows),
        end(range.begin < range.end ? ceil_divide(range.end, kBlockRows) : begin),
        partial(range.partial || range.begin % kBlockRows != 0) {}
  bool empty() const { return begin == end; }
  KeyRange keys() const { return {begin * kBlockRows, end * kBlockRows, partial}; }
  KeyRange keys_of(std::int64_t block) const {
    return {block * kBlockRows, (block + 1) * kBlockRows, partial};
  }
};

// Scores become e^(score - the row's largest), rounded to bf16 in p, which has the same stride.
void exponentiate_rows(MatrixView<float> scores, BFloat16* p, float* inverse_sums,
                       float* log_sums) {
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    float* row = scores.row(i);
    const float largest = kernels::dense_table().largest(row, scores.columns);
    float log_sum = largest;
    inverse_sums[i] = 0;
    if (largest == kHidden) {
      std::fill_n(row, scores.columns, 0.f);
    } else {
      const float sum = kernels::dense_table().exponentials(row, scores.columns, largest);
      log_sum = largest + std::log(sum);
      inverse_sums[i] = 1.f / sum;
    }
    if (log_sums != nullptr) log_sums[i] = log_sum;
    round_to_bf16(row, scores.columns, p + i * scores.stride);
  }
}

// Queries whose keys are packed once for all heads of a group: enough rows for that to be cheap.
std::int64_t queries_of_a_task(std::int64_t group) {
  constexpr std::int64_t kRows = 8 * kBlockRows;
  return round_up(ceil_divide(kRows, group), kBlockRows);
}

}  // namespace

void AttentionInBf16::run(std::int64_t kv_head, std::int64_t first, std::int64_t count) const {
  const BlockUnits units;
  const std::int64_t length = q.size(1), dim = q.size(3), width = padded_width(dim);
  const std::int64_t group = q.size(2) / k.size(head_first ? 1 : 2), block = kBlockRows * width;
  const std::int64_t positions = k.size(head_first ? 2 : 1);
  std::vector<KeyBlocks> seen;
  std::int64_t begin = std::numeric_limits<std::int64_t>::max(), end = 0;
  for (std::int64_t i = first; i < first + count; i += kBlockRows) {
    const std::int64_t queries = std::min(kBlockRows, first + count - i);
    const KeyBlocks& own =
        seen.emplace_back(visible_keys(visibility, row, past, i, queries, positions));
    if (own.empty()) continue;
    begin = std::min(begin, own.begin);
    end = std::max(end, own.end);
  }

  const Heads keys = head_of(k, row, kv_head, positions, head_first);
  const Heads values = head_of(v, row, kv_head, positions, head_first);
  const std::int64_t blocks = std::max<std::int64_t>(0, end - begin);
  BFloat16* packed_keys = bf16_scratch(Scratch::key, blocks * block);
  BFloat16* packed_values = bf16_scratch(Scratch::value, blocks * block);
  BFloat16* query = bf16_scratch(Scratch::query, block);  // of keys and values before
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t at = (begin + b) * kBlockRows;
    copy_block(rows_of_block(keys, at), width, query);
    pack_transposed_block(query, width, packed_keys + b * block);
    copy_block(rows_of_block(values, at), width, query);
    pack_block(query, width, packed_values + b * block);
  }

  float* result = scratch(Scratch::output, block);
  for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const Heads queries = head_of(q, row, head, length);
    for (std::size_t b = 0; b < seen.size(); ++b) {
      const KeyBlocks& own = seen[b];
      const std::int64_t at = first + static_cast<std::int64_t>(b) * kBlockRows;
      const std::int64_t rows = std::min(kBlockRows, first + count - at);
      const std::int64_t columns = (own.end - own.begin) * kBlockRows;
      // Few strides, so that there are few micro-kernels, and none that shares sets of the cache.
      const auto stride = static_cast<std::int64_t>(
          std::bit_ceil(static_cast<std::uint64_t>(std::max(kBlockRows, columns))) + 16);
      MatrixView<float> scores(scratch(Scratch::scores, kBlockRows * stride), rows, columns,
                               stride);
      BFloat16* p = bf16_scratch(Scratch::gradient, kBlockRows * stride);
      copy_block(queries.block(at, 0, rows, dim), width, query);
      for (std::int64_t j = own.begin; j < own.end; ++j) {
        multiply_block({kBlockRows, kBlockRows, width, query, width,
                        packed_keys + (j - begin) * block,
                        scores.data + (j - own.begin) * kBlockRows, stride});
      }
      for (std::int64_t i = 0; i < rows; ++i) multiply_by(rule.scale, scores.row(i), columns);
      finish_scores(rule, head, past + at, own.keys(), scores);
      mask(visibility, row, past, at, own.keys(), positions, scores);

      std::array<float, kBlockRows> inverse_sums;
      exponentiate_rows(scores, p, inverse_sums.data(),
                        log_sums == nullptr ? nullptr : log_sums + head * length + at);
      if (own.empty()) std::fill_n(result, block, 0.f);
      for (std::int64_t j = own.begin; j < own.end; ++j) {
        multiply_block({kBlockRows, width, kBlockRows, p + (j - own.begin) * kBlockRows, stride,
                        packed_values + (j - begin) * block, result, width, j > own.begin});
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        multiply_by(inverse_sums[static_cast<std::size_t>(i)], result + i * width, dim);
      }
      write_head(out, row, head, at, {result, rows, dim, width});
    }
  }
}

void run_in_bf16(std::span<const AttentionInBf16> rows) {
  struct Task {
    const AttentionInBf16* row;
    std::int64_t kv_head, first, count;
  };
  std::vector<Task> tasks;
  for (const AttentionInBf16& row : rows) {
    const std::int64_t length = row.q.size(1), kv_heads = row.k.size(row.head_first ? 1 : 2);
    const std::int64_t at_once = queries_of_a_task(row.q.size(2) / kv_heads);
    for (std::int64_t head = 0; head < kv_heads; ++head) {
      for (std::int64_t first = 0; first < length; first += at_once) {
        tasks.push_back({&row, head, first, std::min(at_once, length - first)});
      }
    }
  }
  // The last queries see the most keys, or as many as the others: long tasks first.
  std::ranges::stable_sort(tasks, std::greater<>(), &Task::first);
  parallel_for(std::ssize(tasks), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Task& task = tasks[static_cast<std::size_t>(i)];
      task.row->run(task.kv_head, task.first, task.count);
    }
  });
}

void forward_in_bf16(const Tensor& q, const Tensor& k, const Tensor& v,
                     const Visibility& visibility, const Scores& rule, const Tensor& out,
                     const Tensor& log_sums) {
  std::vector<AttentionInBf16> rows;
  for (std::int64_t row = 0; row < q.size(0); ++row) {
    rows.push_back({q, k, v, false, row, 0, visibility, rule, out,
                    log_sums.data_ptr<float>() + row * q.size(1) * q.size(2)});
  }
  run_in_bf16(rows);
}

std::int64_t AttentionGradientInBf16::sums_size() const {
  return 2 * round_up(k.size(1), kBlockRows) * padded_width(q.size(3));
}

void AttentionGradientInBf16::run(std::int64_t row, std::int64_t begin, std::int64_t end,
                                  float* sums) const {
  const BlockUnits units;
  const std::int64_t length = q.size(1), dim = q.size(3), width = padded_width(dim);
  const std::int64_t positions = k.size(1);
  const std::int64_t blocks = ceil_divide(positions, kBlockRows), block = kBlockRows * width;
  const std::int64_t kv_head = begin / (q.size(2) / k.size(2));
  const Heads keys = head_of(k, row, kv_head, positions);
  const Heads values = head_of(v, row, kv_head, positions);
  BFloat16* keys_across = bf16_scratch(Scratch::key, blocks * block);
  BFloat16* values_across = bf16_scratch(Scratch::value, blocks * block);
  BFloat16* keys_down = bf16_scratch(Scratch::weight_tile, blocks * block);
  // Of one block of queries: each and its gradient, as they are and transposed.
  BFloat16* query = bf16_scratch(Scratch::query, 5 * block);
  BFloat16 *query_across = query + block, *gradient = query + 2 * block,
           *gradient_across = query + 3 * block, *turning = query + 4 * block;
  for (std::int64_t b = 0; b < blocks; ++b) {
    copy_block(rows_of_block(keys, b * kBlockRows), width, query);
    pack_transposed_block(query, width, keys_across + b * block);
    pack_block(query, width, keys_down + b * block);
    copy_block(rows_of_block(values, b * kBlockRows), width, query);
    pack_transposed_block(query, width, values_across + b * block);
  }
  const auto transpose_block = [&](const BFloat16* x, BFloat16* across) {
    pack_block(x, width, turning);
    transpose_packed_block(turning, width, across);
  };
  float* p = scratch(Scratch::scores, 3 * kTile);
  float *dp = p + kTile, *cap_slopes = p + 2 * kTile;
  BFloat16* rounded = bf16_scratch(Scratch::gradient, 2 * kTile);
  BFloat16* packed = rounded + kTile;
  float* query_gradient = scratch(Scratch::output, block);
  std::vector<float> result(static_cast<std::size_t>(dim));

  const bool plain = rule.soft_cap == 0 && rule.slopes.empty() && !rule.bias.defined();
  const std::int64_t distances = dbias.defined() ? dbias.size(2) : 0;
  float *dkeys = sums, *dvalues = sums + blocks * block;
  std::fill_n(sums, sums_size(), 0.f);
  for (std::int64_t head = begin; head < end; ++head) {
    const Heads queries = head_of(q, row, head, length), results = head_of(out, row, head, length),
                gradients = head_of(dout, row, head, length);
    const float* log_sum = log_sums.data_ptr<float>() + (row * q.size(2) + head) * length;
    for (std::int64_t first = 0; first < length; first += kBlockRows) {
      const std::int64_t count = std::min(kBlockRows, length - first);
      const KeyBlocks own(visible_keys(visibility, row, 0, first, count, positions));
      const Heads query_rows = rows_of_block(queries, first);
      const Heads gradient_rows = rows_of_block(gradients, first);
      copy_block(query_rows, width, query);
      transpose_block(query, query_across);
      copy_block(gradient_rows, width, gradient);
      transpose_block(gradient, gradient_across);
      std::array<float, kBlockRows> dots{};
      for (std::int64_t i = 0; i < count; ++i) {
        kernels::table().bf16_to_f32(results.row(first + i), dim, result.data());
        kernels::dense_table().rows_dot_bf16(gradient_rows.row(i), dim, 1, result.data(), 1, dim,
                                             &dots[static_cast<std::size_t>(i)]);
      }
      if (own.empty()) std::fill_n(query_gradient, block, 0.f);
      for (std::int64_t j = own.begin; j < own.end; ++j) {
        const KeyRange range = own.keys_of(j);
        const MatrixView<float> scores(p, count, kBlockRows), dscores(dp, count, kBlockRows);
        multiply_block(
            {kBlockRows, kBlockRows, width, query, width, keys_across + j * block, p, kBlockRows});
        multiply_block({kBlockRows, kBlockRows, width, gradient, width, values_across + j * block,
                        dp, kBlockRows});
        if (!plain) {
          multiply_by(rule.scale, p, scores.size());
          finish_scores(rule, head, first, range, scores, cap_slopes);
        }
        const bool causal = visibility.causal && !visibility.across;
        if (range.partial || range.end > (causal ? first : positions)) {
          mask(visibility, row, 0, first, range, positions, scores);
        }
        for (std::int64_t i = 0; i < count; ++i) {
          to_score_gradients(scores.row(i), dscores.row(i), kBlockRows, plain ? rule.scale : 1.f,
                             log_sum[first + i], dots[static_cast<std::size_t>(i)]);
        }
        if (dbias.defined()) {
          add_by_distance(dscores, first, range, (distances + 1) / 2,
                          dbias.data_ptr<float>() + (row * q.size(2) + head) * distances);
        }
        apply_cap_slopes(rule, cap_slopes, dscores);
        std::fill(p + scores.size(), p + kTile, 0.f);
        std::fill(dp + scores.size(), dp + kTile, 0.f);

        round_to_bf16(p, kTile, rounded);
        pack_block(rounded, kBlockRows, packed);
        multiply_block({width, kBlockRows, kBlockRows, gradient_across, kBlockRows, packed,
                        dvalues + j * block, kBlockRows, true});
        round_to_bf16(dp, kTile, rounded);
        pack_block(rounded, kBlockRows, packed);
        multiply_block({width, kBlockRows, kBlockRows, query_across, kBlockRows, packed,
                        dkeys + j * block, kBlockRows, true});
        multiply_block({kBlockRows, width, kBlockRows, rounded, kBlockRows, keys_down + j * block,
                        query_gradient, width, j > own.begin});
      }
      multiply_by(rule.scale, query_gradient, block);
      write_head(dq, row, head, first, {query_gradient, count, dim, width});
    }
  }
}

void AttentionGradientInBf16::write(std::int64_t row, std::int64_t kv_head, const float* sums,
                                    std::int64_t parts) const {
  const std::int64_t positions = k.size(1), dim = q.size(3);
  const std::int64_t block = kBlockRows * padded_width(dim);
  const std::int64_t width = padded_width(dim);
  float *sum = scratch(Scratch::output, 2 * block), *values = sum + block;
  for (const Tensor* gradient : {&dk, &dv}) {
    for (std::int64_t first = 0; first < positions; first += kBlockRows, sums += block) {
      std::copy_n(sums, block, sum);
      for (std::int64_t part = 1; part < parts; ++part) {
        const float* more = sums + part * sums_size();
        for (std::int64_t i = 0; i < block; ++i) sum[i] += more[i];
      }
      if (gradient == &dk) multiply_by(rule.scale, sum, block);
      transpose_words(sum, width, kBlockRows, values);
      const std::int64_t rows = std::min(kBlockRows, positions - first);
      write_head(*gradient, row, kv_head, first, {values, rows, dim, width});
    }
  }
}

void backward_in_bf16(const AttentionGradientInBf16& gradient) {
  // Heads of a group are parted where there are few groups, by their number alone: sums depend on
  // the order.
  constexpr std::int64_t kTasks = 32;
  const std::int64_t kv_heads = gradient.k.size(2), groups = gradient.q.size(0) * kv_heads;
  if (groups == 0 || gradient.q.size(1) == 0) return;
  const std::int64_t group = gradient.q.size(2) / kv_heads, size = gradient.sums_size();
  const std::int64_t parts = std::min(group, ceil_divide(kTasks, groups));
  const auto run_part = [&](std::int64_t task, float* sums) {
    const std::int64_t head = task / parts % kv_heads * group, part = task % parts;
    gradient.run(task / parts / kv_heads, head + group * part / parts,
                 head + group * (part + 1) / parts, sums);
  };
  if (parts == 1) {
    parallel_for(groups, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float* sums = scratch(Scratch::activations, size);
        run_part(i, sums);
        gradient.write(i / kv_heads, i % kv_heads, sums, 1);
      }
    });
    return;
  }
  const Tensor sums = at::empty({groups * parts, size}, at::kFloat);
  float* all = sums.data_ptr<float>();
  parallel_for(groups * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run_part(i, all + i * size);
  });
  parallel_for(groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      gradient.write(i / kv_heads, i % kv_heads, all + i * parts * size, parts);
    }
  });
}

}  // namespace qloft::backend
