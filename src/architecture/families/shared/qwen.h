#pragma once
// What the Qwen families share.

#include "gated_decoder.h"

namespace qloft::architecture {

// The window of each layer: none unless use_sliding_window, then those that layer_types names, or
// those from max_window_layers on.
std::vector<std::int64_t> read_qwen_windows(const io::Field& config, std::int64_t layers);

// Adds the experts of layers that decoder_sparse_step and mlp_only_layers leave to them, with
// `shared_inner` > 0 an expert for every token beside them.
void read_qwen_experts(const io::Field& config, std::int64_t default_experts,
                       std::int64_t default_chosen, std::int64_t shared_inner,
                       GatedDecoder& decoder);

}  // namespace qloft::architecture
