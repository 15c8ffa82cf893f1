#pragma once
// Summed negative log-likelihood, and its gradient by the logits, without all logits at once.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
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
// the backward pass only scales these. `product_gradients`, where given, [n, vocabulary] in
// hidden's type and where it is, becomes the result's gradient by the products of hidden and
// weight. With `smoothing` s, from 0 to 1, targets are 1 - s at their id and s shared by the whole
// vocabulary (Szegedy et al. 2016).
at::Tensor summed_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                const LogitsRule& rule, const at::Tensor& targets,
                                const at::Tensor& product_gradients = {}, double smoothing = 0);

// The gradients [n, count] of outputs [first, first + count), in the hidden states' type and where
// they are.
using LogitGradientSink = std::function<void(const at::Tensor& gradients, std::int64_t first)>;

// The gradient of scale * summed_cross_entropy(...) by the products of hidden states and weight
// (what the gradient of the weight is made of), `outputs_at_once` of all n rows at a time: logits
// are made twice, of a slice of the vocabulary, for their normalizers and for the gradients. There
// is no dropout.
void logit_gradients(const at::Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                     const at::Tensor& targets, double scale, std::int64_t outputs_at_once,
                     const LogitGradientSink& sink);

}  // namespace qloft::backend
