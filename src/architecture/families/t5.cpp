// T5 (Raffel et al. 2020), T5 v1.1 and Flan-T5.
#include "shared/t5.h"

namespace qloft::architecture {

Layout t5(const io::Field& config) {
  return t5_layout(config, {.name = "t5", .class_stem = "T5"});
}

}  // namespace qloft::architecture
