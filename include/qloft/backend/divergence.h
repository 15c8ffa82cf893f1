#pragma once
// Summed Kullback-Leibler divergence from a teacher of whom the greatest probabilities are known,
// and its gradient by the logits, without all logits at once.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "qloft/backend/cross_entropy.h"

namespace qloft::backend {

// What a teacher says of n predictions: the `k` greatest of its probabilities. All other ids of the
// vocabulary are one bucket, which has the rest of the mass.
struct TeacherRows {
  at::Tensor ids;                // int32 CPU [n, k], distinct within a row
  at::Tensor log_probabilities;  // f32 CPU [n, k], natural log
};

// The `count` greatest of log softmax of each row, falling; of equal ones those with the lowest
// ids. logits f32 [n, vocabulary], count at most vocabulary.
TeacherRows greatest_of(const at::Tensor& logits, std::int64_t count);

// (1 - w) times the sum over rows of
//
//   sum over k of p_k log(p_k / q_k) + p_r log(p_r / q_r),   p_r = 1 - sum p_k, q_r = 1 - sum q_k
//
// plus w times summed_cross_entropy(hidden, weight, rule, targets), as an f32 scalar; p the
// teacher's probabilities, q = softmax(logits), w = `next_token_weight` from 0 to 1. With k =
// vocabulary it is the whole divergence. hidden [n, hidden_size], targets int64 CPU [n].
at::Tensor summed_divergence(const at::Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                             const TeacherRows& teacher, const at::Tensor& targets,
                             double next_token_weight);

}  // namespace qloft::backend
