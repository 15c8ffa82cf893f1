#pragma once
// A step of AdamW by torch's operators: for tensors that are not on the CPU, and the twin of the
// CPU's loop in tests.

#include <ATen/core/Tensor.h>

namespace qloft::train {

// The constants of one step in the precision that it works in.
struct AdamWRates {
  float gradient_scale;
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float root_correction2;  // sqrt(1 - beta2^t)
  float epsilon;
  float step_size;  // lr / (1 - beta1^t)
  float kept;       // 1 - lr * weight_decay
};

// A parameter with m, v and, where it is bf16, its f32 master.
struct AdamWTensors {
  at::Tensor parameter;
  at::Tensor first, second;
  at::Tensor master;  // undefined for f32
};

void update_by_torch(const AdamWTensors& tensors, const at::Tensor& gradient, float kept,
                     const AdamWRates& rates);
double sum_of_squares_by_torch(const at::Tensor& gradient);

}  // namespace qloft::train
