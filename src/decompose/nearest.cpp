#include "steps.h"

namespace qloft::decompose {

quant::PackedMatrix quantize_nearest(MatrixView<const float> target, Work& work) {
  return quant::quantize(target, work.recipe.format);
}

}  // namespace qloft::decompose
