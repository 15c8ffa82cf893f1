#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "qloft/model.h"

namespace qloft::model {

// y, the result of the linear layer `module` for x, after the observer has seen x; in the backward
// pass it sees y's gradient.
at::Tensor observed(const std::shared_ptr<const Observer>& observer, const std::string& module,
                    const at::Tensor& x, const at::Tensor& y);

}  // namespace qloft::model
