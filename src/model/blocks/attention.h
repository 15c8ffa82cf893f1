#pragma once
#include "pass.h"

namespace qloft::model {

// x [rows, length, hidden_size] -> the same shape. `block`: whose keys and values the caches hold.
at::Tensor forward(const Pass& pass, const architecture::Attention& attention, std::int64_t block,
                   const at::Tensor& x);

}  // namespace qloft::model
