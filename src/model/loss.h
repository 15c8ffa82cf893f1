#pragma once
// Summed negative log-likelihood without the logits of a whole batch.

#include <ATen/core/Tensor.h>

#include "weight.h"

namespace qloft::model {

// -sum over i of log softmax(hidden_i * head^T)[targets_i], natural log, as an f32 scalar.
// hidden [n, hidden_size], targets int64 CPU [n]. Logits of a chunk of rows are made, turned into
// the gradients of the hidden states and of a head that is trained, and dropped; the backward pass
// only scales these.
at::Tensor summed_loss(const at::Tensor& hidden, const Weight& head, const at::Tensor& targets);

}  // namespace qloft::model
