// ModernBERT (Warner et al. 2024): norms before each branch, rotated heads, windows in most layers,
// a gated MLP in one matrix.
#include <utility>

#include "shared/head.h"
#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

constexpr double kGlobalTheta = 160000, kLocalTheta = 10000;
constexpr std::int64_t kGlobalEvery = 3;

struct ModernBert {
  Sizes sizes;
  double epsilon = 1e-5;
  bool norm_bias = false, attention_bias = false, mlp_bias = false;
  Activation activation = Activation::gelu;
  std::vector<bool> windowed;  // by layer
  std::int64_t window = 0;
};

// The rotary embeddings of global layers (first) and of local ones.
std::vector<Rope> read_modernbert_ropes(const io::Field& config, std::int64_t max_positions,
                                        std::int64_t head_dim) {
  Rope global, local;
  global.theta = config.number("global_rope_theta", 1, 1e12).value_or(kGlobalTheta);
  local.theta = config.number("local_rope_theta", 1, 1e12).value_or(kLocalTheta);
  global.dimensions = local.dimensions = head_dim;
  if (const auto both = config.find("rope_parameters")) {
    if (const auto fields = both->find("full_attention")) {
      read_rope(config, *fields, max_positions, head_dim, 1, global);
    }
    if (const auto fields = both->find("sliding_attention")) {
      read_rope(config, *fields, max_positions, head_dim, 1, local);
    }
  }
  return {global, local};
}

ModernBert read_modernbert(const io::Field& config) {
  ModernBert out;
  out.sizes = read_sizes(config, {.key_value_heads = nullptr, .reads_head_dim = false});
  out.epsilon = config.number("norm_eps", 0, 1).value_or(out.epsilon);
  out.norm_bias = read_flag(config, "norm_bias", false);
  out.attention_bias = read_flag(config, "attention_bias", false);
  out.mlp_bias = read_flag(config, "mlp_bias", false);
  out.activation = read_activation(config, "hidden_activation", "gelu");
  out.windowed = read_layer_types(config, out.sizes.layers);
  const std::int64_t every =
      config.integer("global_attn_every_n_layers", 1, kMaxLayers).value_or(kGlobalEvery);
  for (std::int64_t i = std::ssize(out.windowed); i < out.sizes.layers; ++i) {
    out.windowed.push_back(i % every != 0);
  }
  out.window = config.integer("local_attention", 1, kMaxSize).value_or(128) / 2 + 1;
  return out;
}

void add_modernbert_block(LayoutBuilder& builder, const ModernBert& model) {
  builder.begin_block();
  const Sizes& sizes = model.sizes;
  const auto norm = [&](const char* name) {
    return builder.layer_norm(name, sizes.hidden, model.epsilon, model.norm_bias);
  };
  const bool windowed = model.windowed[static_cast<std::size_t>(builder.block())];
  Branch first, second;
  if (builder.block() > 0) first.before = norm("attn_norm");
  Attention attention = attention_of(sizes);
  attention.causal = false;
  attention.rope = windowed ? 1 : 0;
  attention.window = windowed ? model.window : 0;
  add_fused_attention(builder, sizes, "attn.Wqkv", 1, "attn.Wo", {.bias = model.attention_bias},
                      attention);
  first.body = std::move(attention);
  second.before = norm("mlp_norm");
  Mlp mlp;
  mlp.activation = model.activation;
  const ParameterId both =
      builder.linear("mlp.Wi", 2 * sizes.inner, sizes.hidden, {.bias = model.mlp_bias});
  mlp.gate = RowSlice{both, 1, 0, sizes.inner};
  mlp.up = RowSlice{both, 1, sizes.inner, sizes.inner};
  mlp.down = builder.linear("mlp.Wo", sizes.hidden, sizes.inner, {.bias = model.mlp_bias});
  second.body = std::move(mlp);
  builder.add({.branches = {std::move(first), std::move(second)}});
}

void add_modernbert_head(LayoutBuilder& builder, const io::Field& config, const ModernBert& model) {
  Layout& layout = builder.layout();
  if (layout.head.kind == HeadKind::states) return;
  const std::int64_t hidden = model.sizes.hidden;
  builder.begin_head();
  HeadLayer dense = head_layer(builder, "head.dense", hidden, hidden,
                               read_activation(config, "classifier_activation", "gelu"),
                               read_flag(config, "classifier_bias", false));
  dense.norm = builder.layer_norm("head.norm", hidden, model.epsilon, model.norm_bias);
  layout.head.layers = {std::move(dense)};
  if (layout.head.kind == HeadKind::masked_token) {
    builder.output_matrix("decoder", hidden, read_flag(config, "tie_word_embeddings", true),
                          read_flag(config, "decoder_bias", true));
    return;
  }
  layout.head.layers.push_back(
      head_layer(builder, "classifier", std::ssize(layout.head.labels), hidden));
  if (layout.head.kind != HeadKind::sequence) return;
  if (const auto pooling = config.find("classifier_pooling")) {
    layout.head.pooling =
        pooling->choice({"cls", "mean"}) == 0 ? Head::Pooling::first : Head::Pooling::mean;
  }
}

}  // namespace

Layout modernbert(const io::Field& config) {
  const Head head = read_head(config);
  const std::string stem = stem_of(head, "model");
  LayoutBuilder builder("modernbert", stem + "layers.");
  Layout& layout = builder.layout();
  const ModernBert model = read_modernbert(config);
  read_common(config, "max_position_embeddings", 8192, layout);
  layout.hidden_size = model.sizes.hidden;
  layout.head = head;
  layout.ropes = read_modernbert_ropes(config, layout.max_positions, model.sizes.head_dim);
  builder.token_embedding(stem + "embeddings.tok_embeddings", model.sizes.hidden);
  layout.embedding.norm = builder.layer_norm(stem + "embeddings.norm", model.sizes.hidden,
                                             model.epsilon, model.norm_bias);
  for (std::int64_t i = 0; i < model.sizes.layers; ++i) add_modernbert_block(builder, model);
  builder.end_blocks();
  layout.output.norm =
      builder.layer_norm(stem + "final_norm", model.sizes.hidden, model.epsilon, model.norm_bias);
  add_modernbert_head(builder, config, model);
  finish_encoder(builder, "model", "ModernBert");
  return layout;
}

}  // namespace qloft::architecture
