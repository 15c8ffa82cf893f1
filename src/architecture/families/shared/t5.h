#pragma once
// T5 and its relatives: RMS norms, no biases, distances in place of positions.

#include <string>
#include <string_view>

#include "qloft/architecture/layout.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

struct T5Family {
  std::string name, class_stem;
  std::string_view mlp = "relu";  // feed_forward_proj where config.json says nothing
  bool scales_output = true;      // by hidden_size^-0.5, where config.json ties it
};
Layout t5_layout(const io::Field& config, const T5Family& family);

}  // namespace qloft::architecture
