#pragma once

#include "qloft/core/error.h"
#include "qloft/evaluate.h"

namespace qloft::evaluate {

// Throws ComputationError at `where` where `loss` is not finite.
void expect_finite(double loss, const ErrorLocation& where);

}  // namespace qloft::evaluate
