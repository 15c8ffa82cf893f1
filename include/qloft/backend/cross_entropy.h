#pragma once
// Summed negative log-likelihood without the logits of a whole batch.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "qloft/backend/linear.h"
#include "qloft/backend/weight.h"

namespace qloft::backend {

// logits = cap(multiplier * linear(hidden)), of the output matrix with its bias and factors
struct LogitsRule {
  std::optional<LowRank> factors;
  std::uint64_t dropout_seed = 0;  // of the factors' input, as linear() has it
  at::Tensor bias;                 // f32 [vocabulary] or undefined
  double multiplier = 1;
  double soft_cap = 0;  // cap * tanh(logit / cap); 0: none
};

// -sum over i of log softmax(logits_i)[targets_i], natural log, as an f32 scalar. hidden [n,
// hidden_size], targets int64 CPU [n]. Logits of a chunk of rows are made, turned into the
// gradients of the hidden states and of a weight, bias and factors that are trained, and dropped;
// the backward pass only scales these.
at::Tensor summed_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                const LogitsRule& rule, const at::Tensor& targets);

}  // namespace qloft::backend
