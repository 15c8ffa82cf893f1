#pragma once
#include "pass.h"

namespace qloft::model {

// Attention by content and by distance apart (architecture::Distances), by torch's own operators.
// q, k, v [rows, length, heads, head_dim] -> the same shape. Scores of all pairs are kept.
at::Tensor attention_by_distances(const Pass& pass, const architecture::Attention& attention,
                                  const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace qloft::model
