#pragma once
#include <ATen/core/Tensor.h>

namespace qloft::model {

// Attention by torch's own operators, which keeps the scores of all pairs: q [rows, queries, heads,
// head_dim], k and v [rows, keys, heads, head_dim] -> as q. `bias` f32 [heads, queries, keys] is
// added to scale * query . key; `seen` bool, which may be broadcast to [rows, heads, queries,
// keys], says which keys a query sees; both may be undefined. What sees none gets the mean.
at::Tensor attend_to_pairs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           double scale, const at::Tensor& bias, const at::Tensor& seen);

// Which tokens see each other: those of the same segment, which is not negative. segments int64
// [rows, length] -> bool [rows, 1, length, length]; undefined: all do.
at::Tensor seen_by_segments(const at::Tensor& segments, at::Device device);

}  // namespace qloft::model
