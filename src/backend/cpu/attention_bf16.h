#pragma once
// Attention by products in bf16, 64 queries and 64 keys at a time: scores, probabilities, sums and
// log-sum-exps are f32; probabilities and gradients of scores are rounded to bf16 where they are
// multiplied. Every tensor is bf16 but log_sums. Padding up to whole blocks is zero and hidden.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "qloft/backend/attention.h"

namespace qloft::backend {

// The queries of one row or sequence.
struct AttentionInBf16 {
  const at::Tensor &q, &k, &v;  // q [rows, length, heads, head_dim]
  bool head_first;              // k and v are [rows, heads, positions, head_dim], else as q
  std::int64_t row;
  std::int64_t past;
  const Visibility& visibility;
  const Scores& rule;
  const at::Tensor& out;
  float* log_sums;  // [heads, length], or null

  // Queries [first, first + count) of all heads that share `kv_head`.
  void run(std::int64_t kv_head, std::int64_t first, std::int64_t count) const;
};

// All of them, on all threads.
void run_in_bf16(std::span<const AttentionInBf16> rows);

void forward_in_bf16(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const Visibility& visibility, const Scores& rule, const at::Tensor& out,
                     const at::Tensor& log_sums);

struct AttentionGradientInBf16 {
  const at::Tensor &q, &k, &v, &out, &log_sums, &dout;
  const Visibility& visibility;
  const Scores& rule;
  const at::Tensor &dq, &dk, &dv;
  const at::Tensor& dbias;  // f32 [rows, heads, 2 reach - 1], zeros; undefined: not wanted

  // f32 elements of the sums of one head of keys and values.
  std::int64_t sums_size() const;
  // dq of the heads [begin, end), which share one head of keys and values, and their sums for dk
  // and dv.
  void run(std::int64_t row, std::int64_t begin, std::int64_t end, float* sums) const;
  // dk and dv from the sums of `parts` ranges of heads, one after the other.
  void write(std::int64_t row, std::int64_t kv_head, const float* sums, std::int64_t parts) const;
};
// All rows and heads, on all threads.
void backward_in_bf16(const AttentionGradientInBf16& gradient);

}  // namespace qloft::backend
