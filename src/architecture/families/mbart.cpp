// mBART (Liu et al. 2020): norms before each branch, and targets that begin with their last token,
// the language's.
#include "shared/bart.h"

namespace qloft::architecture {

Layout mbart(const io::Field& config) {
  Layout layout =
      bart_layout(config, {.name = "mbart", .class_stem = "MBart", .norm_before = true});
  // transformers shifts mBART's targets so whatever decoder_start_token_id says.
  layout.encoder->start_token = -1;
  return layout;
}

}  // namespace qloft::architecture
