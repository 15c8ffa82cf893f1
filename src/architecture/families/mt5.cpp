// mT5 (Xue et al. 2021).
#include "shared/t5.h"

namespace qloft::architecture {

Layout mt5(const io::Field& config) {
  return t5_layout(
      config, {.name = "mt5", .class_stem = "MT5", .mlp = "gated-gelu", .scales_output = false});
}

}  // namespace qloft::architecture
