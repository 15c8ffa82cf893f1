#pragma once
#include "pass.h"

namespace qloft::model {

// x [..., hidden_size] -> the same shape.
at::Tensor forward(const Pass& pass, const architecture::Mlp& mlp, const at::Tensor& x);

}  // namespace qloft::model
