#include "mlp.h"

#include <array>

namespace qloft::model {

at::Tensor forward(const Pass& pass, const architecture::Mlp& mlp, const at::Tensor& x) {
  if (!mlp.gate) {
    const std::array slices = {&mlp.up};
    const auto up = apply_slices(pass, slices, x);
    return apply(pass, mlp.down, backend::activate(up[0], mlp.activation));
  }
  const std::array slices = {&*mlp.gate, &mlp.up};
  const auto both = apply_slices(pass, slices, x);
  return apply(pass, mlp.down, backend::gate(both[0], both[1], mlp.activation));
}

}  // namespace qloft::model
