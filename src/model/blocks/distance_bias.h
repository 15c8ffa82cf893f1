#pragma once
#include "pass.h"
#include "qloft/backend/attention.h"

namespace qloft::model {

// Attention of tokens to each other with a bias by their distance (architecture::DistanceBias). q,
// k, v [rows, length, heads, head_dim] -> the same shape.
at::Tensor attend_with_bias(const Pass& pass, const architecture::Attention& attention,
                            const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

// The same over caches that hold the keys and values of these queries already: q [1, tokens, heads,
// head_dim].
at::Tensor attend_with_bias(const Pass& pass, const architecture::Attention& attention,
                            const at::Tensor& q,
                            const std::vector<backend::CachedSequence>& sequences);

}  // namespace qloft::model
