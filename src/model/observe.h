#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "qloft/backend/cross_entropy.h"
#include "qloft/model.h"

namespace qloft::model {

// y, the result of the linear layer `module` for x, after the observer has seen x; in the backward
// pass it sees y's gradient.
at::Tensor observed(const std::shared_ptr<const Observer>& observer, const std::string& module,
                    const at::Tensor& x, const at::Tensor& y);

// The summed cross entropy of the predictions that the output matrix `module` makes of `states`; in
// the backward pass the observer sees the gradients of its products.
at::Tensor observed_loss(const std::shared_ptr<const Observer>& observer, const std::string& module,
                         const at::Tensor& states, const backend::Weight& weight,
                         const backend::LogitsRule& rule, const at::Tensor& targets);

}  // namespace qloft::model
