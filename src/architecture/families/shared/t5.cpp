#include "t5.h"

#include <cmath>
#include <utility>

#include "encoder_decoder.h"

namespace qloft::architecture {
namespace {

constexpr std::int64_t kMostBuckets = 1 << 16;
constexpr std::int64_t kT5End = 1;

struct T5 {
  Sizes sizes;
  double epsilon = 1e-6;
  Activation activation = Activation::relu;
  bool gated = false;
  std::int64_t buckets = 32;
  std::int64_t longest = 128;
};

// "relu", or "gated-" and the gate's activation.
void read_t5_mlp(const io::Field& config, std::string_view fallback, T5& t5) {
  constexpr std::string_view kGated = "gated-";
  std::string name = config.string("feed_forward_proj").value_or(std::string(fallback));
  t5.gated = name.starts_with(kGated);
  if (t5.gated) name.erase(0, kGated.size());
  if (t5.gated && name == "gelu") name = "gelu_new";  // as transformers reads it
  t5.activation = activation_of(config, "feed_forward_proj", name);
}

T5 read_t5(const io::Field& config, const T5Family& family) {
  T5 out;
  out.sizes = read_sizes(config, {.hidden = "d_model",
                                  .inner = "d_ff",
                                  .layers = "num_layers",
                                  .heads = "num_heads",
                                  .key_value_heads = nullptr,
                                  .default_head_dim = 64,
                                  .head_dim = "d_kv"});
  out.epsilon = config.number("layer_norm_epsilon", 0, 1).value_or(out.epsilon);
  read_t5_mlp(config, family.mlp, out);
  out.buckets =
      config.integer("relative_attention_num_buckets", 4, kMostBuckets).value_or(out.buckets);
  out.longest =
      config.integer("relative_attention_max_distance", 2, kMaxSize).value_or(out.longest);
  if (out.longest <= out.buckets / 2) {
    config.fail("relative_attention_max_distance",
                "expected more than half of relative_attention_num_buckets (" +
                    std::to_string(out.buckets) + "), found " + std::to_string(out.longest));
  }
  return out;
}

// The table is in the first block of a stack; `bias` hands it on to the others.
Branch t5_attention(LayoutBuilder& builder, const T5& t5, const std::string& layer, bool causal,
                    std::optional<DistanceBias>* bias) {
  Attention attention;
  attention.causal = causal;
  attention.cross = bias == nullptr;
  const std::string stem = layer + (attention.cross ? ".EncDecAttention" : ".SelfAttention");
  Branch branch;
  branch.before = builder.rms_norm(layer + ".layer_norm", t5.sizes.hidden, t5.epsilon);
  add_attention(
      builder, t5.sizes,
      {.stem = stem, .query = "q", .key = "k", .value = "v", .output = "o", .bias = false},
      attention);
  if (bias != nullptr) {
    if (!*bias) {
      const ParameterId table =
          builder.distance_embedding(stem + ".relative_attention_bias", t5.buckets, t5.sizes.heads);
      *bias = {table, t5.longest};
    }
    attention.bias = *bias;
  }
  branch.body = std::move(attention);
  return branch;
}

Branch t5_mlp(LayoutBuilder& builder, const T5& t5, const std::string& layer) {
  const std::string stem = layer + ".DenseReluDense.";
  const std::int64_t hidden = t5.sizes.hidden, inner = t5.sizes.inner;
  Branch branch;
  branch.before = builder.rms_norm(layer + ".layer_norm", hidden, t5.epsilon);
  Mlp mlp;
  mlp.activation = t5.activation;
  if (t5.gated) {
    const ParameterId gate = builder.linear(stem + "wi_0", inner, hidden, {});
    mlp.gate = builder.whole(gate);
    mlp.up = builder.whole(builder.linear(stem + "wi_1", inner, hidden, {.input_of = gate}));
  } else {
    mlp.up = builder.whole(builder.linear(stem + "wi", inner, hidden, {}));
  }
  mlp.down = builder.linear(stem + "wo", hidden, inner, {});
  branch.body = std::move(mlp);
  return branch;
}

Norm add_t5_half(LayoutBuilder& builder, const T5& t5, std::int64_t layers, ParameterId tokens,
                 const std::string& stem, bool decodes) {
  builder.embedding().tokens = tokens;
  std::optional<DistanceBias> bias;
  for (std::int64_t i = 0; i < layers; ++i) {
    builder.begin_block();
    Block block;
    block.branches.push_back(t5_attention(builder, t5, "layer.0", decodes, &bias));
    if (decodes) block.branches.push_back(t5_attention(builder, t5, "layer.1", false, nullptr));
    block.branches.push_back(t5_mlp(builder, t5, decodes ? "layer.2" : "layer.1"));
    builder.add(std::move(block));
  }
  builder.end_blocks();
  return builder.rms_norm(stem + "final_layer_norm", t5.sizes.hidden, t5.epsilon);
}

// The whole model, whose names begin with `stem`.
void add_t5_halves(const io::Field& config, LayoutBuilder& builder, const T5& t5,
                   const std::string& stem) {
  Layout& layout = builder.layout();
  builder.begin_encoder();
  read_target_tokens(config, 0, 0, layout);
  const ParameterId tokens = add_shared_embedding(builder, stem + "shared", stem, t5.sizes.hidden);
  layout.encoder->norm = add_t5_half(builder, t5, t5.sizes.layers, tokens, stem + "encoder.",
                                     /*decodes=*/false);
  builder.begin_decoder(stem + "decoder.block.");
  const std::int64_t layers =
      config.integer("num_decoder_layers", 1, kMaxLayers).value_or(t5.sizes.layers);
  layout.output.norm = add_t5_half(builder, t5, layers, tokens, stem + "decoder.",
                                   /*decodes=*/true);
}

// The encoder by itself.
void add_t5_encoder(LayoutBuilder& builder, const T5& t5, const std::string& stem) {
  Layout& layout = builder.layout();
  const ParameterId tokens = add_shared_embedding(builder, stem + "shared", stem, t5.sizes.hidden);
  layout.output.norm = add_t5_half(builder, t5, t5.sizes.layers, tokens, stem + "encoder.",
                                   /*decodes=*/false);
  for (Parameter& parameter : layout.parameters) parameter.stack = "encoder";
  layout.foreign_prefixes = {"transformer.decoder.", "decoder."};
}

void add_t5_output(const io::Field& config, LayoutBuilder& builder, bool scales) {
  Layout& layout = builder.layout();
  const bool tied = read_flag(config, "tie_word_embeddings", true);
  add_output_matrix(builder, layout.hidden_size, tied);
  if (tied && scales) {
    layout.output.multiplier = 1 / std::sqrt(static_cast<double>(layout.hidden_size));
  }
}

}  // namespace

Layout t5_layout(const io::Field& config, const T5Family& family) {
  const Head head = read_pair_head(
      config, {HeadKind::sequence, HeadKind::spans, HeadKind::tokens, HeadKind::states});
  const bool wrapped = head.kind == HeadKind::sequence || head.kind == HeadKind::tokens;
  const bool decodes = head.kind != HeadKind::tokens && head.kind != HeadKind::states;
  const std::string stem = wrapped ? "transformer." : "";
  LayoutBuilder builder(family.name, stem + "encoder.block.");
  Layout& layout = builder.layout();
  const T5 t5 = read_t5(config, family);
  layout.vocabulary_size = config.at("vocab_size").integer(1, kMaxSize);
  layout.hidden_size = t5.sizes.hidden;
  layout.head = head;
  layout.class_stem = family.class_stem;
  if (decodes) {
    add_t5_halves(config, builder, t5, stem);
  } else {
    add_t5_encoder(builder, t5, stem);
  }
  if (head.kind == HeadKind::sequence_to_sequence) {
    add_t5_output(config, builder, family.scales_output);
  } else {
    add_pair_head(builder, config, kT5End);
  }
  layout.prefix = stem;
  layout.other_prefixes = {wrapped ? "" : "transformer."};
  allow_other_heads(layout);
  // Copies of the embedding, and a table that nothing reads.
  layout.foreign_suffixes = {"coder.embed_tokens.weight",
                             "EncDecAttention.relative_attention_bias.weight"};
  return layout;
}

}  // namespace qloft::architecture
