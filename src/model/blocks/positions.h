#pragma once
#include <ATen/core/Tensor.h>

#include "qloft/architecture/rope.h"
#include "qloft/backend/rotate.h"

namespace qloft::model {

// Whether the frequencies depend on how long a text is.
bool depends_on_length(const architecture::Rope& rope);

// The angles of positions int64 [rows, length]. Frequencies as in transformers'
// modeling_rope_utils.py; where they depend on the
// length of the text, it is the largest position and one.
backend::Rotation make_rotation(const architecture::Rope& rope, const at::Tensor& positions);

}  // namespace qloft::model
