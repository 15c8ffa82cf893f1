#pragma once
#include "pass.h"

namespace qloft::model {

// What a block's convolution makes of x, which the block begins with, and y, what its branches made
// of it: both and the result [rows, length, hidden_size]. A token takes those of its own segment.
at::Tensor convolve(const Pass& pass, const architecture::Convolution& convolution,
                    const at::Tensor& x, const at::Tensor& y);

}  // namespace qloft::model
