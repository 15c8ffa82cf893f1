#pragma once
// Which positions of an input predict something that counts.

#include <cstdint>
#include <vector>

#include "qloft/model.h"

namespace qloft::objectives {

// Throws InputError for a mask of another shape than the ids.
void expect_mask_of(const model::Input& input, const at::Tensor& loss_mask);

// Indices into ids.flatten() of the positions whose prediction of the next id counts.
std::vector<std::int64_t> predicting_positions(const model::Input& input,
                                               const at::Tensor& loss_mask);

// The same as a tensor, and the ids that are predicted: int64 CPU [n].
struct Predictions {
  at::Tensor positions;
  at::Tensor targets;
};
Predictions predictions_of(const model::Input& input, const at::Tensor& loss_mask);

}  // namespace qloft::objectives
