#pragma once
#include "pass.h"

namespace qloft::model {

// x [rows, length, hidden_size] -> the same shape. Only the weights of experts that some token
// chose are read.
at::Tensor forward(const Pass& pass, const architecture::Experts& experts, const at::Tensor& x);

}  // namespace qloft::model
