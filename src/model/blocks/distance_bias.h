#pragma once
#include "pass.h"

namespace qloft::model {

// The bias of an attention by distance (architecture::DistanceBias), of distances below `reach`, as
// backend::Scores has it: f32 [heads, 2 reach - 1].
at::Tensor bias_by_distance(const Pass& pass, const architecture::Attention& attention,
                            std::int64_t reach);

}  // namespace qloft::model
