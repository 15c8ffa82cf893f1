#pragma once
// A sum of losses of logits, each of one row, without all logits at once.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "qloft/backend/cross_entropy.h"

namespace qloft::backend {

// Writes the loss of each row of `logits`, f32 [rows, vocabulary] where the hidden states are, and
// turns the row into the gradient of its loss. They are rows [first, first + rows) of all.
using LossOfRows = std::function<void(at::Tensor& logits, std::int64_t first, double* losses)>;

// The sum as an f32 scalar. hidden [n, hidden_size]. Logits of a chunk of rows are made, turned
// into the gradients of the hidden states and of a weight, bias and factors that are trained, and
// dropped; the backward pass only scales these. `product_gradients`, where given, [n, vocabulary]
// in hidden's type and where it is, becomes the result's gradient by the products of hidden and
// weight.
at::Tensor summed_loss(const at::Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                       const LossOfRows& loss, const at::Tensor& product_gradients = {});

}  // namespace qloft::backend
