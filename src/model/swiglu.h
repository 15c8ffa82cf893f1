#pragma once
#include <ATen/core/Tensor.h>

namespace qloft::model {

// silu(gate) * up (Shazeer 2020), elementwise, in the inputs' type. The backward pass keeps gate
// and up.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace qloft::model
