#pragma once
#include <optional>

#include "pass.h"

namespace qloft::model {

// x [..., width] by the layout's norm.
at::Tensor normalize(const Pass& pass, const architecture::Norm& norm, const at::Tensor& x);
// x itself where there is none.
at::Tensor normalize(const Pass& pass, const std::optional<architecture::Norm>& norm,
                     const at::Tensor& x);

}  // namespace qloft::model
