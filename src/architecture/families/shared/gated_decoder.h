#pragma once
// Decoders with the names of Llama's modules: RMS norms, separate query, key and value, rotary
// embeddings and a gated MLP, or experts in its place.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "../../builder.h"
#include "../../rope.h"
#include "read.h"

namespace qloft::architecture {

struct GatedDecoder {
  Sizes sizes;
  double epsilon = 1e-6;
  double norm_offset = 0;
  bool query_key_value_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
  bool tied = false;
  std::optional<Attention::NormSpan> query_key_norm;
  // Names of the norms around both branches; null: none.
  const char* before_attention = "input_layernorm";
  const char* after_attention = nullptr;
  const char* before_mlp = "post_attention_layernorm";
  const char* after_mlp = nullptr;
  Activation activation = Activation::silu;
  double score_scale = 0;  // 0: 1 / sqrt(head_dim)
  double soft_cap = 0;
  double residual_multiplier = 1;
  std::vector<int> rope_of_layer;             // empty: the first for all
  std::vector<std::int64_t> window_of_layer;  // empty: none
  // Adds layer's experts in place of its MLP; nullopt: it has an MLP.
  std::function<std::optional<Experts>(LayoutBuilder&, std::int64_t layer)> experts;
};

// Embedding, blocks, last norm and output matrix. The layout has its sizes and ropes already.
// `stem` is what module names begin with: "model.".
void add_gated_decoder(LayoutBuilder& builder, const GatedDecoder& decoder,
                       const std::string& stem = "model.");

// What Llama and its relatives read alike: sizes, rms_norm_eps, ties, one rope, and the activation
// under hidden_act.
GatedDecoder read_gated_decoder(const io::Field& config, LayoutBuilder& builder,
                                const SizeNames& names, std::int64_t default_positions,
                                const RopeDefaults& rope = {});

// A gated MLP under `name`: gate_proj, up_proj and down_proj.
Mlp add_gated_mlp(LayoutBuilder& builder, const std::string& name, std::int64_t hidden,
                  std::int64_t inner, bool bias, Activation activation);

// The window of every layer: `window` where `windowed` says so.
std::vector<std::int64_t> windows_of(const std::vector<bool>& windowed, std::int64_t window);

}  // namespace qloft::architecture
