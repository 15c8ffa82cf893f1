#include "attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

#include "attention_blocks.h"
#include "qloft/core.h"
#include "qloft/kernels.h"
#include "qloft/kernels/dense.h"
#include "qloft/linalg.h"
#include "tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using linalg::Transpose;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

float score_scale(std::int64_t head_dim) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

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

void make_scores(MatrixView<const float> queries, MatrixView<const float> keys, float scale,
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

void weigh(MatrixView<const float> scores, MatrixView<const float> values,
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

// One head of one row: all its queries, block by block.
void attend(const Tensor& q, MatrixView<const float> keys, MatrixView<const float> values,
            std::int64_t row, std::int64_t head, std::int64_t past, const Visibility& visibility,
            const Tensor& out, float* log_sums) {
  const std::int64_t length = q.size(1);
  const auto queries = read_head(q, row, head, length, false, Scratch::query);
  const float scale = score_scale(q.size(3));
  for (std::int64_t first = 0; first < length; first += kQueryBlock) {
    const std::int64_t count = std::min(kQueryBlock, length - first);
    const KeyRange range = visible_keys(visibility, row, past, first, count);
    const std::int64_t seen = range.end - range.begin;
    MatrixView<float> scores(scratch(Scratch::scores, count * seen), count, seen);
    MatrixView<float> result(scratch(Scratch::output, count * q.size(3)), count, q.size(3));
    make_scores(queries.block(first, 0, count, queries.columns),
                keys.block(range.begin, 0, seen, keys.columns), scale, scores);
    hide(visibility, row, past, first, range, scores);
    for (std::int64_t i = 0; i < count; ++i) {
      const float log_sum = softmax(scores.row(i), seen);
      if (log_sums != nullptr) log_sums[first + i] = log_sum;
    }
    weigh(scores, values.block(range.begin, 0, seen, values.columns), result);
    write_head(out, row, head, first, result);
  }
}

// Gradients of all query heads that share one head of keys and values.
struct HeadGradient {
  const Tensor &q, &k, &v, &out, &log_sums, &dout;
  const Visibility& visibility;
  const Tensor &dq, &dk, &dv;

  void run(std::int64_t row, std::int64_t kv_head) const {
    const std::int64_t length = q.size(1), dim = q.size(3);
    const std::int64_t group = q.size(2) / k.size(2);
    const float scale = score_scale(dim);
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
        float* buffer = scratch(Scratch::scores, 2 * count * seen);
        MatrixView<float> p(buffer, count, seen);
        MatrixView<float> dp(buffer + count * seen, count, seen);
        const auto query_block = queries.block(first, 0, count, dim);
        const auto gradient_block = gradient.block(first, 0, count, dim);
        const auto key_block = keys.block(range.begin, 0, seen, dim);
        linalg::multiply_serial(query_block, Transpose::no, key_block, Transpose::yes, p, scale);
        hide(visibility, row, 0, first, range, p);
        linalg::multiply_serial(gradient_block, Transpose::no,
                                values.block(range.begin, 0, seen, dim), Transpose::yes, dp);
        for (std::int64_t i = 0; i < count; ++i) {
          const float dot = dot_of(gradient.row(first + i), results.row(first + i), dim);
          to_score_gradient(p.row(i), dp.row(i), seen, log_sum[first + i], dot);
        }
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
                        std::int64_t window) {
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
        attend(q, keys, values, row, head, 0, visibility, out,
               log_sums.data_ptr<float>() + i * length);
      }
    });
    ctx->save_for_backward({q, k, v, out, log_sums, segments});
    ctx->saved_data["window"] = window;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const Visibility visibility{ctx->saved_data["window"].toInt(), saved[5]};
    const Tensor dout = gradients[0].contiguous();
    Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    const HeadGradient gradient{q, k, v, saved[3], saved[4], dout, visibility, dq, dk, dv};
    const std::int64_t kv_heads = k.size(2);
    parallel_for(q.size(0) * kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) gradient.run(i / kv_heads, i % kv_heads);
    });
    return {dq, dk, dv, Tensor(), Tensor()};
  }
};

// The same by torch's own operators, with a mask: for devices other than the CPU.
Tensor attention_in_torch(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t past,
                          const Visibility& visibility) {
  const std::int64_t length = q.size(1), keys = k.size(2);
  const auto options = at::TensorOptions(at::kLong).device(q.device());
  const Tensor query_index = at::arange(past, past + length, options).view({1, length, 1});
  const Tensor key_index = at::arange(keys, options).view({1, 1, keys});
  Tensor seen = key_index <= query_index;
  if (visibility.window > 0) {
    seen = seen.logical_and(query_index - key_index < visibility.window);
  }
  if (visibility.segments.defined()) {
    const Tensor segments = visibility.segments.to(q.device());
    const Tensor own = segments.narrow(1, past, length).unsqueeze(2);
    seen = seen.logical_and(own == segments.unsqueeze(1)).logical_and(own >= 0);
  }
  const Tensor mask = seen.unsqueeze(1);
  const Tensor out = at::scaled_dot_product_attention(q.transpose(1, 2), k, v, mask, 0.0, false,
                                                      std::nullopt, q.size(2) != k.size(1));
  return out.masked_fill(mask.any(-1, true).logical_not(), 0).transpose(1, 2);
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Visibility& visibility) {
  if (!q.is_cpu()) {
    return attention_in_torch(q, k.transpose(1, 2), v.transpose(1, 2), 0, visibility);
  }
  return AttentionFunction::apply(q, k, v, maybe(visibility.segments), visibility.window);
}

Tensor attention_over_cache(const Tensor& q_in, const Tensor& keys, const Tensor& values,
                            std::int64_t past, const Visibility& visibility) {
  const Tensor q = q_in.contiguous();
  const std::int64_t rows = q.size(0), heads = q.size(2), filled = past + q.size(1);
  if (!q.is_cpu()) {
    return attention_in_torch(q, keys.narrow(2, 0, filled), values.narrow(2, 0, filled), past,
                              visibility);
  }
  const std::int64_t group = heads / keys.size(1);
  Tensor out = at::empty_like(q);
  parallel_for(rows * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / heads, head = i % heads;
      attend(q, read_head(keys, row, head / group, filled, true, Scratch::key),
             read_head(values, row, head / group, filled, true, Scratch::value), row, head, past,
             visibility, out, nullptr);
    }
  });
  return out;
}

}  // namespace qloft::model
