#include "attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

#include "attention_bf16.h"
#include "attention_blocks.h"
#include "bf16_blocks.h"
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

// The products of attention, by matrix-vector kernels where queries are few (decoding).
void multiply_by_keys(MatrixView<const float> queries, MatrixView<const float> keys, float scale,
                      MatrixView<float> scores) {
  if (queries.rows > kFewQueries) {
    linalg::multiply_serial(queries, Transpose::no, keys, Transpose::yes, scores, scale);
    return;
  }
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    float* out = scores.row(i);
    kernels::dense_table().rows_dot_f32(keys.data, keys.stride, keys.rows, queries.row(i), 1,
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

}  // namespace

void attend_in_f32(const Tensor& q, MatrixView<const float> keys, MatrixView<const float> values,
                   std::int64_t row, std::int64_t head, std::int64_t past,
                   const Visibility& visibility, const Scores& rule, const Tensor& out,
                   float* log_sums) {
  const std::int64_t length = q.size(1);
  const auto queries = read_head(q, row, head, length, false, Scratch::query);
  for (std::int64_t first = 0; first < length; first += kQueryBlock) {
    const std::int64_t count = std::min(kQueryBlock, length - first);
    const KeyRange range = visible_keys(visibility, row, past, first, count, keys.rows);
    const std::int64_t seen = range.end - range.begin;
    MatrixView<float> scores(scratch(Scratch::scores, count * seen), count, seen);
    MatrixView<float> result(scratch(Scratch::output, count * q.size(3)), count, q.size(3));
    multiply_by_keys(queries.block(first, 0, count, queries.columns),
                     keys.block(range.begin, 0, seen, keys.columns), rule.scale, scores);
    finish_scores(rule, head, past + first, range, scores);
    mask(visibility, row, past, first, range, keys.rows, scores);
    for (std::int64_t i = 0; i < count; ++i) {
      const float log_sum = softmax(scores.row(i), seen);
      if (log_sums != nullptr) log_sums[first + i] = log_sum;
    }
    sum_values(scores, values.block(range.begin, 0, seen, values.columns), result);
    write_head(out, row, head, first, result);
  }
}

namespace {

// Gradients of all query heads that share one head of keys and values.
struct HeadGradient {
  const Tensor &q, &k, &v, &out, &log_sums, &dout;
  const Visibility& visibility;
  const Scores& rule;
  const Tensor &dq, &dk, &dv;
  const Tensor& dbias;  // f32 [rows, heads, 2 reach - 1], zeros; undefined: not wanted

  void run(std::int64_t row, std::int64_t kv_head) const {
    const std::int64_t length = q.size(1), positions = k.size(1), dim = q.size(3);
    const std::int64_t group = q.size(2) / k.size(2);
    const float scale = rule.scale;
    const auto keys = read_head(k, row, kv_head, positions, false, Scratch::key);
    const auto values = read_head(v, row, kv_head, positions, false, Scratch::value);
    // Sums over the group in f32: dk, dv of this head, one after the other.
    Matrix sums(2 * positions, dim);
    const auto dkeys = sums.view().block(0, 0, positions, dim);
    const auto dvalues = sums.view().block(positions, 0, positions, dim);
    Matrix queries_gradient(kQueryBlock, dim);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const auto queries = read_head(q, row, head, length, false, Scratch::query);
      const auto gradient = read_head(dout, row, head, length, false, Scratch::gradient);
      const auto results = read_head(out, row, head, length, false, Scratch::output);
      const float* log_sum = log_sums.data_ptr<float>() + (row * q.size(2) + head) * length;
      for (std::int64_t first = 0; first < length; first += kQueryBlock) {
        const std::int64_t count = std::min(kQueryBlock, length - first);
        const KeyRange range = visible_keys(visibility, row, 0, first, count, positions);
        const std::int64_t seen = range.end - range.begin;
        float* buffer = scratch(Scratch::scores, (rule.soft_cap != 0 ? 3 : 2) * count * seen);
        MatrixView<float> p(buffer, count, seen);
        MatrixView<float> dp(buffer + count * seen, count, seen);
        const auto query_block = queries.block(first, 0, count, dim);
        const auto gradient_block = gradient.block(first, 0, count, dim);
        const auto key_block = keys.block(range.begin, 0, seen, dim);
        linalg::multiply_serial(query_block, Transpose::no, key_block, Transpose::yes, p, scale);
        finish_scores(rule, head, first, range, p, buffer + 2 * count * seen);
        mask(visibility, row, 0, first, range, positions, p);
        linalg::multiply_serial(gradient_block, Transpose::no,
                                values.block(range.begin, 0, seen, dim), Transpose::yes, dp);
        for (std::int64_t i = 0; i < count; ++i) {
          const float dot = dot_of(gradient.row(first + i), results.row(first + i), dim);
          to_score_gradients(p.row(i), dp.row(i), seen, 1.f, log_sum[first + i], dot);
        }
        if (dbias.defined()) {
          const std::int64_t distances = dbias.size(2);
          add_by_distance(dp, first, range, (distances + 1) / 2,
                          dbias.data_ptr<float>() + (row * q.size(2) + head) * distances);
        }
        apply_cap_slopes(rule, buffer + 2 * count * seen, dp);
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
};

void forward_in_f32(const Tensor& q, const Tensor& k, const Tensor& v, const Visibility& visibility,
                    const Scores& rule, const Tensor& out, const Tensor& log_sums) {
  const std::int64_t length = q.size(1), positions = k.size(1);
  const std::int64_t heads = q.size(2), group = heads / k.size(2);
  parallel_for(q.size(0) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / heads, head = i % heads;
      const auto keys = read_head(k, row, head / group, positions, false, Scratch::key);
      const auto values = read_head(v, row, head / group, positions, false, Scratch::value);
      attend_in_f32(q, keys, values, row, head, 0, visibility, rule, out,
                    log_sums.data_ptr<float>() + i * length);
    }
  });
}

void backward_in_f32(const HeadGradient& gradient) {
  const std::int64_t kv_heads = gradient.k.size(2);
  parallel_for(gradient.q.size(0) * kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) gradient.run(i / kv_heads, i % kv_heads);
  });
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q_in, const Tensor& k_in,
                        const Tensor& v_in, const MaybeTensor& bias_or_none,
                        const Visibility& visibility, const Scores& given, bool in_bf16) {
    const Tensor& segments = visibility.segments;
    Scores rule = given;
    if (bias_or_none) rule.bias = bias_or_none->contiguous();
    const Tensor q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
    Tensor out = at::empty_like(q);
    Tensor log_sums = at::empty({q.size(0), q.size(2), q.size(1)}, at::kFloat);
    (in_bf16 ? forward_in_bf16 : forward_in_f32)(q, k, v, visibility, rule, out, log_sums);
    ctx->save_for_backward({q, k, v, out, log_sums, segments, rule.bias});
    ctx->saved_data["window"] = visibility.window;
    ctx->saved_data["causal"] = visibility.causal;
    ctx->saved_data["across"] = visibility.across;
    ctx->saved_data["needs_bias"] = bias_or_none && bias_or_none->requires_grad();
    ctx->saved_data["in_bf16"] = in_bf16;
    ctx->saved_data["scale"] = static_cast<double>(rule.scale);
    ctx->saved_data["soft_cap"] = static_cast<double>(rule.soft_cap);
    ctx->saved_data["slopes"] = std::vector<double>(rule.slopes.begin(), rule.slopes.end());
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const Visibility visibility{ctx->saved_data["window"].toInt(), saved[5],
                                ctx->saved_data["causal"].toBool(),
                                ctx->saved_data["across"].toBool()};
    Scores rule{static_cast<float>(ctx->saved_data["scale"].toDouble()),
                static_cast<float>(ctx->saved_data["soft_cap"].toDouble()),
                {},
                saved[6]};
    for (const double slope : ctx->saved_data["slopes"].toDoubleVector()) {
      rule.slopes.push_back(static_cast<float>(slope));
    }
    const Tensor dout = gradients[0].contiguous();
    Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v), dbias;
    if (ctx->saved_data["needs_bias"].toBool()) {
      dbias = at::zeros({q.size(0), q.size(2), rule.bias.size(1)}, at::kFloat);
    }
    if (ctx->saved_data["in_bf16"].toBool()) {
      backward_in_bf16({q, k, v, saved[3], saved[4], dout, visibility, rule, dq, dk, dv, dbias});
    } else {
      backward_in_f32({q, k, v, saved[3], saved[4], dout, visibility, rule, dq, dk, dv, dbias});
    }
    if (dbias.defined()) dbias = dbias.sum(0);
    return {dq, dk, dv, dbias, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Products products_of_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto is_bf16 = [](const Tensor& x) { return x.scalar_type() == at::kBFloat16; };
  const bool in_bf16 = is_bf16(q) && is_bf16(k) && is_bf16(v) && q.size(1) > kFewQueries;
  return in_bf16 && has_block_units() ? Products::bf16 : Products::f32;
}

Tensor attention_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                     const Visibility& visibility, const Scores& scores) {
  return attention_by(products_of_attention(q, k, v), q, k, v, visibility, scores);
}

Tensor attention_by(Products products, const Tensor& q, const Tensor& k, const Tensor& v,
                    const Visibility& visibility, const Scores& scores) {
  return AttentionFunction::apply(q, k, v, maybe(scores.bias), visibility, scores,
                                  products == Products::bf16);
}

}  // namespace qloft::backend
