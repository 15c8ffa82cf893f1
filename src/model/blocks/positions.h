#pragma once
#include <ATen/core/Tensor.h>

#include "qloft/architecture/rope.h"
#include "qloft/backend/rotate.h"

namespace qloft::model {

// The angles of positions int64 [rows, length]. Frequencies as in transformers'
// modeling_rope_utils.py; those of the dynamic and long types depend on the largest position.
backend::Rotation make_rotation(const architecture::Rope& rope, const at::Tensor& positions);

}  // namespace qloft::model
