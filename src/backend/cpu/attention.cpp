#include "attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

#include "attention_blocks.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using linalg::Transpose;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows [first, first + values.rows) of a head of `out` [rows, length, heads, head_dim].
void write_head(const Tensor& out, std::int64_t row, std::int64_t head, std::int64_t first,
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

// Scores become probabilities; returns log(sum(exp(score))), minus infinity where nothing is seen.
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

// The products of attention, by matrix-vector kernels where queries are few (decoding).
constexpr std::int64_t kFewQueries = 4;

void multiply_by_keys(MatrixView<const float> queries, MatrixView<const float> keys, float scale,
                      MatrixView<float> scores) {
  if (queries.rows > kFewQueries) {
    linalg::multiply_serial(queries, Transpose::no, keys, Transpose::yes, scores, scale);
    return;
  }
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    float* out = scores.row(i);
    kernels::dense_table().rows_dot_f32(keys.data, keys.stride, keys.rows, queries.row(i),
                                        keys.columns, out);
    for (std::int64_t j = 0; j < keys.rows; ++j) out[j] *= scale;
  }
}

void sum_values(MatrixView<const float> scores, MatrixView<const float> values,
                MatrixView<float> result) {
  std::fill_n(result.data, result.size(), 0.f);
  if (scores.rows > kFewQueries) {
    linalg::multiply_serial(scores, Transpose::no, values, Transpose::no, result);
    return;
  }
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    kernels::dense_table().add_weighted_rows(values.data, values.stride, values.rows, scores.row(i),
                                             values.columns, result.row(i));
  }
}

// Scores with cap and slope from products of queries and keys; row 0 is the query `first`, column 0
// the key keys.begin.
void finish_scores(const Scores& rule, std::int64_t head, std::int64_t first, const KeyRange& keys,
                   MatrixView<float> scores) {
  const float slope = rule.slopes.empty() ? 0.f : rule.slopes[static_cast<std::size_t>(head)];
  if (rule.soft_cap == 0 && slope == 0) return;
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    float* row = scores.row(i);
    if (rule.soft_cap != 0) {
      for (std::int64_t j = 0; j < scores.columns; ++j) {
        row[j] = rule.soft_cap * std::tanh(row[j] / rule.soft_cap);
      }
    }
    for (std::int64_t j = 0; slope != 0 && j < scores.columns; ++j) {
      row[j] -= slope * static_cast<float>(first + i - keys.begin - j);
    }
  }
}

// One head of one row: all its queries, block by block.
void attend(const Tensor& q, MatrixView<const float> keys, MatrixView<const float> values,
            std::int64_t row, std::int64_t head, std::int64_t past, const Visibility& visibility,
            const Scores& rule, const Tensor& out, float* log_sums) {
  const std::int64_t length = q.size(1);
  const auto queries = read_head(q, row, head, length, false, Scratch::query);
  for (std::int64_t first = 0; first < length; first += kQueryBlock) {
    const std::int64_t count = std::min(kQueryBlock, length - first);
    const KeyRange range = visible_keys(visibility, row, past, first, count);
    const std::int64_t seen = range.end - range.begin;
    MatrixView<float> scores(scratch(Scratch::scores, count * seen), count, seen);
    MatrixView<float> result(scratch(Scratch::output, count * q.size(3)), count, q.size(3));
    multiply_by_keys(queries.block(first, 0, count, queries.columns),
                     keys.block(range.begin, 0, seen, keys.columns), rule.scale, scores);
    finish_scores(rule, head, past + first, range, scores);
    mask(visibility, row, past, first, range, scores);
    for (std::int64_t i = 0; i < count; ++i) {
      const float log_sum = softmax(scores.row(i), seen);
      if (log_sums != nullptr) log_sums[first + i] = log_sum;
    }
    sum_values(scores, values.block(range.begin, 0, seen, values.columns), result);
    write_head(out, row, head, first, result);
  }
}

// Gradients of all query heads that share one head of keys and values.
struct HeadGradient {
  const Tensor &q, &k, &v, &out, &log_sums, &dout;
  const Visibility& visibility;
  const Scores& rule;
  const Tensor &dq, &dk, &dv;

  void run(std::int64_t row, std::int64_t kv_head) const {
    const std::int64_t length = q.size(1), dim = q.size(3);
    const std::int64_t group = q.size(2) / k.size(2);
    const float scale = rule.scale;
    const auto keys = read_head(k, row, kv_head, length, false, Scratch::key);
    const auto values = read_head(v, row, kv_head, length, false, Scratch::value);
    // Sums over the group in f32: dk, dv of this head, one after the other.
    Matrix sums(2 * length, dim);
    const auto dkeys = sums.view().block(0, 0, length, dim);
    const auto dvalues = sums.view().block(length, 0, length, dim);
    Matrix queries_gradient(kQueryBlock, dim);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const auto queries = read_head(q, row, head, length, false, Scratch::query);
      const auto gradient = read_head(dout, row, head, length, false, Scratch::gradient);
      const auto results = read_head(out, row, head, length, false, Scratch::output);
      const float* log_sum = log_sums.data_ptr<float>() + (row * q.size(2) + head) * length;
      for (std::int64_t first = 0; first < length; first += kQueryBlock) {
        const std::int64_t count = std::min(kQueryBlock, length - first);
        const KeyRange range = visible_keys(visibility, row, 0, first, count);
        const std::int64_t seen = range.end - range.begin;
        float* buffer = scratch(Scratch::scores, (rule.soft_cap != 0 ? 3 : 2) * count * seen);
        MatrixView<float> p(buffer, count, seen);
        MatrixView<float> dp(buffer + count * seen, count, seen);
        const auto query_block = queries.block(first, 0, count, dim);
        const auto gradient_block = gradient.block(first, 0, count, dim);
        const auto key_block = keys.block(range.begin, 0, seen, dim);
        linalg::multiply_serial(query_block, Transpose::no, key_block, Transpose::yes, p, scale);
        finish_scores(rule, head, first, range, p);
        keep_slopes(p, buffer + 2 * count * seen);
        mask(visibility, row, 0, first, range, p);
        linalg::multiply_serial(gradient_block, Transpose::no,
                                values.block(range.begin, 0, seen, dim), Transpose::yes, dp);
        for (std::int64_t i = 0; i < count; ++i) {
          const float dot = dot_of(gradient.row(first + i), results.row(first + i), dim);
          to_score_gradient(p.row(i), dp.row(i), seen, log_sum[first + i], dot);
        }
        apply_slopes(buffer + 2 * count * seen, dp);
        linalg::multiply_serial(p, Transpose::yes, gradient_block, Transpose::no,
                                dvalues.block(range.begin, 0, seen, dim), 1.f, 1.f);
        linalg::multiply_serial(dp, Transpose::yes, query_block, Transpose::no,
                                dkeys.block(range.begin, 0, seen, dim), scale, 1.f);
        const auto dquery = queries_gradient.view().block(0, 0, count, dim);
        std::fill_n(dquery.data, dquery.size(), 0.f);
        linalg::multiply_serial(dp, Transpose::no, key_block, Transpose::no, dquery, scale);
        write_head(dq, row, head, first, dquery);
      }
    }
    write_head(dk, row, kv_head, 0, dkeys);
    write_head(dv, row, kv_head, 0, dvalues);
  }

 private:
  // The slope of the soft cap at each capped score, 1 - (score / cap)^2.
  void keep_slopes(MatrixView<const float> scores, float* slopes) const {
    for (std::int64_t i = 0; rule.soft_cap != 0 && i < scores.size(); ++i) {
      const float t = scores.data[i] / rule.soft_cap;
      slopes[i] = 1.f - t * t;
    }
  }
  void apply_slopes(const float* slopes, MatrixView<float> gradient) const {
    for (std::int64_t i = 0; rule.soft_cap != 0 && i < gradient.size(); ++i) {
      gradient.data[i] *= slopes[i];
    }
  }

  static float dot_of(const float* a, const float* b, std::int64_t count) {
    float sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
    return sum;
  }

  // Scores p -> probabilities; dp (gradient of the probabilities) -> gradient of the scores.
  static void to_score_gradient(float* p, float* dp, std::int64_t count, float log_sum, float dot) {
    constexpr float kHidden = -std::numeric_limits<float>::infinity();
    if (log_sum == kHidden) {
      std::fill_n(p, count, 0.f);
      std::fill_n(dp, count, 0.f);
      return;
    }
    // Hidden scores come out below e^-87: nothing beside the others.
    kernels::dense_table().exponentials(p, count, log_sum);
    for (std::int64_t j = 0; j < count; ++j) dp[j] = p[j] * (dp[j] - dot);
  }
};

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q_in, const Tensor& k_in,
                        const Tensor& v_in, const MaybeTensor& segments_or_none,
                        std::int64_t window, const Scores& rule) {
    const Tensor segments = segments_or_none.value_or(Tensor());
    const Tensor q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
    const Visibility visibility{window, segments};
    const std::int64_t rows = q.size(0), length = q.size(1), heads = q.size(2);
    const std::int64_t group = heads / k.size(2);
    Tensor out = at::empty_like(q);
    Tensor log_sums = at::empty({rows, heads, length}, at::kFloat);
    parallel_for(rows * heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = i / heads, head = i % heads;
        const auto keys = read_head(k, row, head / group, length, false, Scratch::key);
        const auto values = read_head(v, row, head / group, length, false, Scratch::value);
        attend(q, keys, values, row, head, 0, visibility, rule, out,
               log_sums.data_ptr<float>() + i * length);
      }
    });
    ctx->save_for_backward({q, k, v, out, log_sums, segments});
    ctx->saved_data["window"] = window;
    ctx->saved_data["scale"] = static_cast<double>(rule.scale);
    ctx->saved_data["soft_cap"] = static_cast<double>(rule.soft_cap);
    ctx->saved_data["slopes"] = std::vector<double>(rule.slopes.begin(), rule.slopes.end());
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const Visibility visibility{ctx->saved_data["window"].toInt(), saved[5]};
    Scores rule{static_cast<float>(ctx->saved_data["scale"].toDouble()),
                static_cast<float>(ctx->saved_data["soft_cap"].toDouble()),
                {}};
    for (const double slope : ctx->saved_data["slopes"].toDoubleVector()) {
      rule.slopes.push_back(static_cast<float>(slope));
    }
    const Tensor dout = gradients[0].contiguous();
    Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    const HeadGradient gradient{q, k, v, saved[3], saved[4], dout, visibility, rule, dq, dk, dv};
    const std::int64_t kv_heads = k.size(2);
    parallel_for(q.size(0) * kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) gradient.run(i / kv_heads, i % kv_heads);
    });
    return {dq, dk, dv, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor attention_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                     const Visibility& visibility, const Scores& scores) {
  return AttentionFunction::apply(q, k, v, maybe(visibility.segments), visibility.window, scores);
}

Tensor attention_over_caches_cpu(const Tensor& q_in, std::span<const CachedSequence> sequences,
                                 std::int64_t window, const Scores& scores) {
  const Tensor q = q_in.contiguous();
  const std::int64_t heads = q.size(2);
  const Visibility visibility{window, {}};
  const Tensor out = at::empty_like(q);
  std::vector<Tensor> queries, results;
  for (const CachedSequence& sequence : sequences) {
    queries.push_back(q.narrow(1, sequence.first, sequence.count));
    results.push_back(out.narrow(1, sequence.first, sequence.count));
  }
  parallel_for(std::ssize(sequences) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto which = static_cast<std::size_t>(i / heads);
      const CachedSequence& sequence = sequences[which];
      const std::int64_t head = i % heads, filled = sequence.past + sequence.count;
      const std::int64_t shared = head / (heads / sequence.keys.size(1));
      attend(queries[which], read_head(sequence.keys, 0, shared, filled, true, Scratch::key),
             read_head(sequence.values, 0, shared, filled, true, Scratch::value), 0, head,
             sequence.past, visibility, scores, results[which], nullptr);
    }
  });
  return out;
}

}  // namespace qloft::backend
