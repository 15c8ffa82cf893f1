#pragma once
#include "pass.h"

namespace qloft::model {

// A decoder's attention to the states that its encoder ended with: x [rows, length, hidden_size] ->
// the same shape. `block`: whose keys and values of the source the caches hold.
at::Tensor attend_across(const Pass& pass, const architecture::Attention& attention,
                         std::int64_t block, const at::Tensor& x);

// Keys and values [rows, source length, heads, head_dim] of what the encoder ended with.
struct SourceHeads {
  at::Tensor keys, values;
};
SourceHeads source_heads(const Pass& pass, const architecture::Attention& attention);

}  // namespace qloft::model
