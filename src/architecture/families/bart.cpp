// BART (Lewis et al. 2020).
#include "shared/bart.h"

namespace qloft::architecture {

Layout bart(const io::Field& config) {
  return bart_layout(config, {.name = "bart", .class_stem = "Bart"});
}

}  // namespace qloft::architecture
