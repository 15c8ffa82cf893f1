#pragma once
// Factors that take the values of a short type.

#include "work.h"

namespace qloft::decompose {

// Rounds result.a and result.b to recipe.factor_type. A's rounding errors are fed back from column
// to column as GPTQ's are (Frantar et al. 2022) where the metric has a Gram matrix; B is solved
// anew for the A that came out, and rounded column by column in the same way. The last errors of
// `result` become those of the rounded factors. Overwrites work.residual.
void round_factors(Work& work, Decomposition& result);

}  // namespace qloft::decompose
