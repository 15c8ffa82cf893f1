#include "norm.h"

namespace qloft::model {

at::Tensor normalize(const Pass& pass, const architecture::Norm& norm, const at::Tensor& x) {
  const at::Tensor& weight = pass.state->vector(norm.weight);
  if (norm.kind == architecture::NormKind::rms) {
    return backend::rms_norm(x, weight, norm.epsilon, norm.offset);
  }
  const at::Tensor bias =
      norm.bias == architecture::kNoParameter ? at::Tensor() : pass.state->vector(norm.bias);
  return backend::layer_norm(x, weight, bias, norm.epsilon);
}

at::Tensor normalize(const Pass& pass, const std::optional<architecture::Norm>& norm,
                     const at::Tensor& x) {
  return norm ? normalize(pass, *norm, x) : x;
}

}  // namespace qloft::model
