// PEGASUS (Zhang et al. 2020): sinusoids as positions, and norms before each branch.
#include "shared/bart.h"

namespace qloft::architecture {

Layout pegasus(const io::Field& config) {
  return bart_layout(config, {.name = "pegasus",
                              .norm_before = true,
                              .embedding_norm = false,
                              .sinusoids = true,
                              .start_token = 0,
                              .padding_token = 0});
}

}  // namespace qloft::architecture
