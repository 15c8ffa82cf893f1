#pragma once
// Pieces of decoders with layer norms and an MLP without a gate.

#include <string>

#include "../../builder.h"
#include "../../rope.h"
#include "read.h"

namespace qloft::architecture {

// Heads and the scale 1 / sqrt(head_dim); not rotated.
Attention attention_of(const Sizes& sizes);

// Query, key and value of one linear layer `name`, in `groups` groups (LayoutBuilder::split_heads),
// and the output projection.
void add_fused_attention(LayoutBuilder& builder, const Sizes& sizes, const std::string& fused,
                         std::int64_t groups, const std::string& output,
                         const LayoutBuilder::LinearOptions& options, Attention& attention);

// Three linear layers under `stem`: q_proj, k_proj, v_proj, and the output projection `output`.
void add_separate_attention(LayoutBuilder& builder, const Sizes& sizes, const std::string& stem,
                            const std::string& output, bool query_key_value_bias, bool output_bias,
                            Attention& attention);

// down(activation(up(x)))
Mlp add_plain_mlp(LayoutBuilder& builder, const Sizes& sizes, const std::string& up,
                  const std::string& down, const LayoutBuilder::LinearOptions& options,
                  Activation activation);

}  // namespace qloft::architecture
