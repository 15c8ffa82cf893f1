#pragma once
// What the Gemma families share: norms by 1 + weight, four a layer, embeddings times the root of
// their width, tanh GELU, soft caps, and layers that attend to a window.

#include "gated_decoder.h"

namespace qloft::architecture {

// Everything but ropes and windows. `default_caps`: of scores and logits, 0 for none.
GatedDecoder read_gemma(const io::Field& config, LayoutBuilder& builder,
                        std::int64_t default_positions, std::int64_t default_vocabulary,
                        double default_score_cap, double default_logit_cap);

// Gemma 3's text model under module names that begin with `stem`. `tied`: whether the output matrix
// is tied, where something else than config says so.
Layout gemma3_layout(const io::Field& config, const std::string& family, const std::string& stem,
                     std::optional<bool> tied = std::nullopt);

}  // namespace qloft::architecture
