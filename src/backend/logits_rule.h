#pragma once
// LogitsRule's multiplier and soft cap, there and back.

#include <ATen/core/Tensor.h>

#include "qloft/backend/cross_entropy.h"

namespace qloft::backend {

// Of products that have the bias; in place.
at::Tensor apply_multiplier_and_cap(const LogitsRule& rule, at::Tensor logits);
// The gradient of `logits`, as the rule made them, becomes that of the products; in place.
void through_multiplier_and_cap(const LogitsRule& rule, const at::Tensor& logits,
                                at::Tensor& gradient);

}  // namespace qloft::backend
