#pragma once
// objectives: a batch and a model to a loss.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "qloft/model.h"

namespace qloft::objectives {

// A summed negative log-likelihood (natural log, summed in f64, an f32 scalar with gradient here)
// and how many predictions it is of.
struct Loss {
  at::Tensor sum;
  std::int64_t count = 0;
};

// Position i predicts ids[i + 1] of the same segment; it counts where loss_mask[i + 1] != 0
// (undefined: everywhere). loss_mask has the shape of ids. Logits are made and dropped in chunks of
// rows, forward and backward: the full logits of a batch never exist.
Loss next_token(model::Model& model, const model::Input& input, const at::Tensor& loss_mask = {});
// The same where the hidden states of the input, [rows * length, columns], are there already.
Loss next_token_of(model::Model& model, const at::Tensor& states, const model::Input& input,
                   const at::Tensor& loss_mask = {});

}  // namespace qloft::objectives
