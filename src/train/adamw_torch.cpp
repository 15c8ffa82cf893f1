#include "adamw_torch.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

namespace qloft::train {

void update_by_torch(const AdamWTensors& tensors, const at::Tensor& gradient, float kept,
                     const AdamWRates& rates) {
  const at::NoGradGuard no_grad;
  const at::Tensor g = gradient.to(at::kFloat) * rates.gradient_scale;
  at::Tensor first = tensors.first, second = tensors.second;
  first.mul_(rates.beta1).add_(g, rates.one_minus_beta1);
  second.mul_(rates.beta2).addcmul_(g, g, rates.one_minus_beta2);
  const at::Tensor denominator = second.sqrt().div_(rates.root_correction2).add_(rates.epsilon);
  at::Tensor parameter = tensors.master.defined() ? tensors.master : tensors.parameter;
  parameter.mul_(kept).addcdiv_(first, denominator, -rates.step_size);
  if (tensors.master.defined()) tensors.parameter.copy_(tensors.master);
}

double sum_of_squares_by_torch(const at::Tensor& gradient) {
  return gradient.to(at::kDouble).square().sum().item<double>();
}

}  // namespace qloft::train
