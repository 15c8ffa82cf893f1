#include "bart.h"

#include <cmath>
#include <utility>

#include "encoder_decoder.h"
#include "plain_decoder.h"

namespace qloft::architecture {
namespace {

constexpr std::int64_t kBartPositionOffset = 2;
constexpr std::int64_t kBartEnd = 2;
constexpr double kBartEpsilon = 1e-5;  // of torch's LayerNorm

// What both halves share.
struct Bart {
  BartFamily family;
  Activation activation = Activation::gelu;
  double multiplier = 1;  // of the embedding
};

Sizes read_bart_sizes(const io::Field& config, const std::string& half) {
  const std::string inner = half + "_ffn_dim", layers = half + "_layers",
                    heads = half + "_attention_heads";
  return read_sizes(config, {.hidden = "d_model",
                             .inner = inner.c_str(),
                             .layers = layers.c_str(),
                             .heads = heads.c_str(),
                             .key_value_heads = nullptr,
                             .reads_head_dim = false});
}

void add_bart_embedding(LayoutBuilder& builder, const Bart& bart, std::int64_t hidden,
                        ParameterId tokens, const std::string& stem) {
  Embedding& embedding = builder.embedding();
  embedding.tokens = tokens;
  embedding.padding = builder.layout().encoder->padding_token;
  embedding.multiplier = bart.multiplier;
  embedding.sinusoids = bart.family.sinusoids;
  if (!bart.family.sinusoids) {
    builder.position_embedding(stem + "embed_positions",
                               builder.layout().max_positions + kBartPositionOffset, hidden);
    embedding.position_offset = kBartPositionOffset;
  }
  if (bart.family.embedding_norm) {
    embedding.norm = builder.layer_norm(stem + "layernorm_embedding", hidden, kBartEpsilon);
  }
}

Branch bart_branch(LayoutBuilder& builder, const Bart& bart, const std::string& norm,
                   std::int64_t hidden) {
  Branch out;
  (bart.family.norm_before ? out.before : out.after_sum) =
      builder.layer_norm(norm, hidden, kBartEpsilon);
  return out;
}

void add_bart_block(LayoutBuilder& builder, const Bart& bart, const Sizes& sizes, bool decodes) {
  builder.begin_block();
  Block block;
  const auto attend = [&](const std::string& stem, bool cross) {
    Branch branch = bart_branch(builder, bart, stem + "_layer_norm", sizes.hidden);
    Attention attention = attention_of(sizes);
    attention.causal = decodes && !cross;
    attention.cross = cross;
    add_attention(builder, sizes, {.stem = stem}, attention);
    branch.body = std::move(attention);
    block.branches.push_back(std::move(branch));
  };
  attend("self_attn", false);
  if (decodes) attend("encoder_attn", true);
  Branch last = bart_branch(builder, bart, "final_layer_norm", sizes.hidden);
  last.body = add_plain_mlp(builder, sizes, "fc1", "fc2", {.bias = true}, bart.activation);
  block.branches.push_back(std::move(last));
  builder.add(std::move(block));
}

std::optional<Norm> add_bart_half(LayoutBuilder& builder, const Bart& bart, const Sizes& sizes,
                                  ParameterId tokens, const std::string& stem, bool decodes) {
  add_bart_embedding(builder, bart, sizes.hidden, tokens, stem);
  for (std::int64_t i = 0; i < sizes.layers; ++i) add_bart_block(builder, bart, sizes, decodes);
  builder.end_blocks();
  if (!bart.family.norm_before) return std::nullopt;
  return builder.layer_norm(stem + "layer_norm", sizes.hidden, kBartEpsilon);
}

// Added to the logits; checkpoints store it as a row, or leave it out.
void add_logits_bias(LayoutBuilder& builder, std::int64_t hidden, bool tied) {
  Layout& layout = builder.layout();
  const ParameterId matrix = builder.output_matrix("lm_head", hidden, tied, true);
  Parameter& bias = layout.parameters[static_cast<std::size_t>(layout.parameter(matrix).bias)];
  bias.name = "final_logits_bias";
  bias.storages = {{{bias.name, {1, layout.vocabulary_size}}}};
  bias.constant = true;
}

}  // namespace

Layout bart_layout(const io::Field& config, const BartFamily& family) {
  const bool has_heads = !family.class_stem.empty();
  const Head head =
      read_pair_head(config, has_heads ? std::vector{HeadKind::sequence, HeadKind::spans}
                                       : std::vector<HeadKind>());
  LayoutBuilder builder(family.name, "model.encoder.layers.");
  Layout& layout = builder.layout();
  const Sizes encoder = read_bart_sizes(config, "encoder");
  const Sizes decoder = read_bart_sizes(config, "decoder");
  read_common(config, "max_position_embeddings", 1024, layout);
  layout.hidden_size = encoder.hidden;
  layout.initializer_range = config.number("init_std", 0, 1).value_or(layout.initializer_range);
  layout.head = head;
  layout.class_stem = family.class_stem;
  Bart bart{family, read_activation(config, "activation_function", "gelu")};
  if (read_flag(config, "scale_embedding", false)) {
    bart.multiplier = std::sqrt(static_cast<double>(encoder.hidden));
  }
  builder.begin_encoder();
  read_target_tokens(config, family.start_token, family.padding_token, layout);
  const ParameterId tokens =
      add_shared_embedding(builder, "model.shared", "model.", encoder.hidden);
  layout.encoder->norm =
      add_bart_half(builder, bart, encoder, tokens, "model.encoder.", /*decodes=*/false);
  builder.begin_decoder("model.decoder.layers.");
  layout.output.norm =
      add_bart_half(builder, bart, decoder, tokens, "model.decoder.", /*decodes=*/true);
  if (head.kind == HeadKind::sequence_to_sequence) {
    add_logits_bias(builder, encoder.hidden, read_flag(config, "tie_word_embeddings", true));
  } else {
    add_pair_head(builder, config, kBartEnd);
  }
  if (has_heads) allow_other_heads(layout);
  layout.prefix = "model.";
  layout.other_prefixes = {""};
  // Copies of the embedding, sinusoids, and buffers of old checkpoints.
  layout.foreign_suffixes = {"coder.embed_tokens.weight", "coder.version"};
  if (family.sinusoids) layout.foreign_suffixes.push_back("coder.embed_positions.weight");
  return layout;
}

}  // namespace qloft::architecture
