#pragma once
#include <torch/types.h>

namespace qloft::model {

// silu(gate) * up (Shazeer 2020), elementwise, in the inputs' type. The backward pass keeps gate
// and up.
torch::Tensor swiglu(const torch::Tensor& gate, const torch::Tensor& up);

}  // namespace qloft::model
