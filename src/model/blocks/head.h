#pragma once
#include "pass.h"

namespace qloft::model {

// x [..., width] through the layers of the model's head -> [..., width of the last]. A head's
// parameter that the pass' adapter brought along takes the place of the model's; throws InputError
// where rows with several such adapters meet.
at::Tensor run_head(const Pass& pass, const at::Tensor& x);

}  // namespace qloft::model
