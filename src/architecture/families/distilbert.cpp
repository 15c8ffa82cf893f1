// DistilBERT (Sanh et al. 2019): BERT without types of tokens, under names of its own.
#include <utility>

#include "shared/encoder.h"
#include "shared/plain_decoder.h"

namespace qloft::architecture {
namespace {

constexpr double kDistilBertEpsilon = 1e-12;

void add_distilbert_block(LayoutBuilder& builder, const Sizes& sizes, Activation activation) {
  builder.begin_block();
  Branch first, second;
  Attention attention = attention_of(sizes);
  attention.causal = false;
  LayoutBuilder::LinearOptions options{.bias = true, .group = builder.full_name("attention")};
  const ParameterId query = builder.linear("attention.q_lin", sizes.hidden, sizes.hidden, options);
  attention.query = builder.whole(query);
  options.input_of = query;
  const auto add = [&](const char* name) {
    return builder.linear(name, sizes.hidden, sizes.hidden, options);
  };
  attention.key = builder.whole(add("attention.k_lin"));
  attention.value = builder.whole(add("attention.v_lin"));
  options = {.bias = true};
  attention.output = add("attention.out_lin");
  first.body = std::move(attention);
  first.after_sum = builder.layer_norm("sa_layer_norm", sizes.hidden, kDistilBertEpsilon);
  second.body = add_plain_mlp(builder, sizes, "ffn.lin1", "ffn.lin2", {.bias = true}, activation);
  second.after_sum = builder.layer_norm("output_layer_norm", sizes.hidden, kDistilBertEpsilon);
  builder.add({.branches = {std::move(first), std::move(second)}});
}

}  // namespace

Layout distilbert(const io::Field& config) {
  const Head head = read_head(config);
  const std::string stem = stem_of(head, "distilbert");
  LayoutBuilder builder("distilbert", stem + "transformer.layer.");
  Layout& layout = builder.layout();
  const Sizes sizes =
      read_sizes(config, {.hidden = config.has("dim") ? "dim" : "hidden_size",
                          .inner = "hidden_dim",
                          .layers = config.has("n_layers") ? "n_layers" : "num_hidden_layers",
                          .heads = config.has("n_heads") ? "n_heads" : "num_attention_heads",
                          .key_value_heads = nullptr,
                          .default_inner_factor = 4,
                          .reads_head_dim = false});
  read_common(config, "max_position_embeddings", 512, layout);
  layout.hidden_size = sizes.hidden;
  layout.head = head;
  const Activation activation = read_activation(config, "activation", "gelu");
  builder.token_embedding(stem + "embeddings.word_embeddings", sizes.hidden);
  builder.position_embedding(stem + "embeddings.position_embeddings", layout.max_positions,
                             sizes.hidden);
  layout.embedding.norm =
      builder.layer_norm(stem + "embeddings.LayerNorm", sizes.hidden, kDistilBertEpsilon);
  for (std::int64_t i = 0; i < sizes.layers; ++i) add_distilbert_block(builder, sizes, activation);
  builder.end_blocks();
  builder.begin_head();
  if (head.kind == HeadKind::masked_token) {
    add_masked_token_head(
        builder,
        {"vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias", {}},
        sizes.hidden, sizes.hidden, activation, kDistilBertEpsilon,
        read_flag(config, "tie_word_embeddings", true));
  }
  add_sequence_head(builder, "pre_classifier", "classifier", sizes.hidden, Activation::relu);
  add_token_head(builder, sizes.hidden);
  finish_encoder(builder, "distilbert", "DistilBert");
  return layout;
}

}  // namespace qloft::architecture
