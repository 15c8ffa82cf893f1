#include <cmath>

#include "steps.h"

namespace qloft::decompose {

// LoRA's start as PEFT makes it: kaiming_uniform_(A, a = sqrt(5)) is uniform within 1 /
// sqrt(columns).
double start_from_zero(Work& work, double squared_norm, Decomposition& result) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(result.a.columns()));
  for (float& value : result.a.values()) {
    value = static_cast<float>(bound * (2.0 * work.random.uniform() - 1.0));
  }
  return squared_norm;
}

}  // namespace qloft::decompose
