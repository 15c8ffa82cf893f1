#pragma once
// The values of codes as the kernels take them, made once for each kind and kept.

#include "qloft/kernels.h"
#include "qloft/quant.h"

namespace qloft::quant {

// Those of a valid format's codes; they live as long as the program.
const kernels::CodeValues& kernel_values(const Format& format);
// Those of the second level's codes: in [-1, 1] (dynamic) or [0, 1] (uniform).
const kernels::CodeValues& kernel_values(const SecondLevel& second);

}  // namespace qloft::quant
