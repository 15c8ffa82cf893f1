#pragma once
// The CPU's operations on rows: norms, rotation and activations (qloft/backend/*.h).

#include <ATen/core/Tensor.h>

#include "qloft/backend/activation.h"
#include "qloft/backend/rotate.h"

namespace qloft::backend {

at::Tensor rms_norm_cpu(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                        double offset);
at::Tensor layer_norm_cpu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          double epsilon);
at::Tensor rotate_cpu(const at::Tensor& x, const Rotation& rotation);
at::Tensor activate_cpu(const at::Tensor& x, Activation activation);
at::Tensor gate_cpu(const at::Tensor& gate, const at::Tensor& up, Activation activation);

}  // namespace qloft::backend
