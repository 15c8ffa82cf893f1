#pragma once
// Weights for inputs that are no longer the full model's.

#include "coordinates.h"

namespace qloft::decompose {

// W + W D (H + damping)^-1 for D = statistics.shift and the coordinates of H (decompose.h). Throws
// InputError naming `name` for a shift of another shape or with values that are not finite, and for
// coordinates without a root.
Matrix for_shifted_inputs(MatrixView<const float> weight, const Statistics& statistics,
                          const Coordinates& coordinates, std::string_view name);

}  // namespace qloft::decompose
