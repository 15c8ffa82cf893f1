#include "qwen.h"

#include <algorithm>
#include <set>
#include <string>

#include "experts.h"

namespace qloft::architecture {
namespace {

constexpr std::int64_t kDefaultWindow = 4096;
constexpr std::int64_t kDefaultMaxWindowLayers = 28;
constexpr std::int64_t kMaxExperts = 1 << 12;

std::set<std::int64_t> dense_layers(const io::Field& config) {
  std::set<std::int64_t> out;
  const auto list = config.find("mlp_only_layers");
  if (!list) return out;
  for (const io::Field& layer : list->elements()) out.insert(layer.integer());
  return out;
}

}  // namespace

std::vector<std::int64_t> read_qwen_windows(const io::Field& config, std::int64_t layers) {
  const std::int64_t window = read_window(config, kDefaultWindow);
  if (!read_flag(config, "use_sliding_window", false) || window == 0) return {};
  std::vector<bool> windowed = read_layer_types(config, layers);
  const std::int64_t first =
      config.integer("max_window_layers", 0, kMaxSize).value_or(kDefaultMaxWindowLayers);
  for (std::int64_t layer = std::ssize(windowed); layer < layers; ++layer) {
    windowed.push_back(layer >= first);
  }
  return windows_of(windowed, window);
}

void read_qwen_experts(const io::Field& config, std::int64_t default_experts,
                       std::int64_t default_chosen, std::int64_t shared_inner,
                       GatedDecoder& decoder) {
  const char* count_key = config.has("num_experts") ? "num_experts" : "num_local_experts";
  const std::int64_t count = config.integer(count_key, 1, kMaxExperts).value_or(default_experts);
  const std::int64_t chosen =
      config.integer("num_experts_per_tok", 1, count).value_or(std::min(default_chosen, count));
  const std::int64_t inner = config.at("moe_intermediate_size").integer(1, kMaxSize);
  const std::int64_t step = config.integer("decoder_sparse_step", 1, kMaxLayers).value_or(1);
  const bool normalized = read_flag(config, "norm_topk_prob", false);
  const auto hidden = decoder.sizes.hidden;
  const auto activation = decoder.activation;
  decoder.experts = [=, dense = dense_layers(config)](
                        LayoutBuilder& builder, std::int64_t layer) -> std::optional<Experts> {
    if (dense.contains(layer) || (layer + 1) % step != 0) return std::nullopt;
    Experts out = add_experts(builder, {.stem = "mlp."}, hidden, inner, count, activation);
    out.chosen = chosen;
    out.normalized = normalized;
    if (shared_inner > 0) {
      out.shared =
          add_gated_mlp(builder, "mlp.shared_expert", hidden, shared_inner, false, activation);
      out.shared_gate = builder.linear("mlp.shared_expert_gate", 1, hidden, {.role = Role::router});
    }
    return out;
  };
}

}  // namespace qloft::architecture
