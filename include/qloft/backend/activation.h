#pragma once
// Activation functions of MLPs, elementwise, in the inputs' type. The backward pass keeps the
// inputs.

#include <ATen/core/Tensor.h>

#include "qloft/architecture/layout.h"

namespace qloft::backend {

using architecture::Activation;

at::Tensor activate(const at::Tensor& x, Activation activation);
// activation(gate) * up (Shazeer 2020)
at::Tensor gate(const at::Tensor& gate, const at::Tensor& up, Activation activation);

}  // namespace qloft::backend
