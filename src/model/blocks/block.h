#pragma once
// One block: its branches, as the layout composes them.

#include "pass.h"

namespace qloft::model {

// x [rows, length, hidden_size] -> the same shape.
at::Tensor forward_block(const Pass& pass, std::int64_t index, const at::Tensor& x);

// The same, keeping only x for the backward pass, which runs the block again.
at::Tensor forward_block_checkpointed(const Pass& pass, std::int64_t index, const at::Tensor& x);

// The blocks [first, end), one after the other, by one of these as the model is set.
at::Tensor forward_blocks(const Pass& pass, std::int64_t first, std::int64_t end, at::Tensor x);

}  // namespace qloft::model
