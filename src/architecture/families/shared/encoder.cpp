#include "encoder.h"

#include <utility>

#include "plain_decoder.h"

namespace qloft::architecture {

void add_encoder_embeddings(LayoutBuilder& builder, const Encoder& encoder,
                            const std::string& stem) {
  Embedding& embedding = builder.layout().embedding;
  const std::int64_t hidden = encoder.sizes.hidden;
  builder.token_embedding(stem + "embeddings.word_embeddings", encoder.width);
  if (encoder.positions > 0) {
    builder.position_embedding(stem + "embeddings.position_embeddings", encoder.positions,
                               encoder.width);
  }
  if (encoder.types > 0) {
    builder.type_embedding(stem + "embeddings.token_type_embeddings", encoder.types, encoder.width);
  }
  const auto project = [&] {
    if (encoder.width == hidden) return;
    embedding.projection =
        builder.linear(stem + encoder.projection, hidden, encoder.width,
                       {.bias = encoder.projection_bias, .role = Role::projection});
  };
  if (encoder.norm_behind_projection) project();
  embedding.norm =
      builder.layer_norm(stem + "embeddings.LayerNorm",
                         encoder.norm_behind_projection ? hidden : encoder.width, encoder.epsilon);
  if (!encoder.norm_behind_projection) project();
}

Encoder read_encoder(const io::Field& config, LayoutBuilder& builder,
                     std::int64_t default_positions, std::int64_t default_types) {
  Layout& layout = builder.layout();
  Encoder out;
  out.sizes = read_sizes(config, {.key_value_heads = nullptr, .reads_head_dim = false});
  read_common(config, "max_position_embeddings", default_positions, layout);
  layout.hidden_size = out.sizes.hidden;
  layout.head = read_head(config);
  out.width = config.integer("embedding_size", 1, kMaxSize).value_or(out.sizes.hidden);
  out.positions = layout.max_positions;
  out.types = config.integer("type_vocab_size", 0, kMaxSize).value_or(default_types);
  out.epsilon = config.number("layer_norm_eps", 0, 1).value_or(out.epsilon);
  out.activation = read_activation(config, "hidden_act", "gelu");
  return out;
}

namespace {

Attention add_encoder_attention(LayoutBuilder& builder, const Encoder& encoder) {
  const std::int64_t hidden = encoder.sizes.hidden;
  Attention out = attention_of(encoder.sizes);
  out.causal = false;
  const std::string stem = "attention.self.";
  LayoutBuilder::LinearOptions options{.bias = true, .group = builder.full_name("attention")};
  const ParameterId query = builder.linear(stem + encoder.query, hidden, hidden, options);
  out.query = builder.whole(query);
  options.input_of = query;
  out.key = builder.whole(builder.linear(stem + encoder.key, hidden, hidden, options));
  out.value = builder.whole(builder.linear(stem + encoder.value, hidden, hidden, options));
  return out;
}

void add_encoder_block(LayoutBuilder& builder, const Encoder& encoder, Attention attention) {
  const Sizes& sizes = encoder.sizes;
  Branch first, second;
  attention.output =
      builder.linear("attention.output.dense", sizes.hidden, sizes.hidden, {.bias = true});
  first.body = std::move(attention);
  first.after_sum = builder.layer_norm("attention.output.LayerNorm", sizes.hidden, encoder.epsilon);
  second.body = add_plain_mlp(builder, sizes, "intermediate.dense", "output.dense", {.bias = true},
                              encoder.activation);
  second.after_sum = builder.layer_norm("output.LayerNorm", sizes.hidden, encoder.epsilon);
  builder.add({.branches = {std::move(first), std::move(second)}});
}

}  // namespace

void add_encoder_blocks(LayoutBuilder& builder, const Encoder& encoder,
                        const std::function<void(Attention&)>& change) {
  for (std::int64_t i = 0; i < encoder.sizes.layers; ++i) {
    builder.begin_block();
    Attention attention = add_encoder_attention(builder, encoder);
    if (change) change(attention);
    add_encoder_block(builder, encoder, std::move(attention));
  }
  builder.end_blocks();
}

void add_sequence_head(LayoutBuilder& builder, const std::string& dense, const std::string& labels,
                       std::int64_t hidden, Activation activation) {
  Head& head = builder.layout().head;
  if (head.kind != HeadKind::sequence) return;
  head.layers = {head_layer(builder, dense, hidden, hidden, activation),
                 head_layer(builder, labels, std::ssize(head.labels), hidden)};
}

Layout roberta_layout(const io::Field& config, const std::string& family,
                      const std::string& class_stem) {
  LayoutBuilder builder(family, stem_of(read_head(config), "roberta") + "encoder.layer.");
  Layout& layout = builder.layout();
  const Encoder encoder = read_encoder(config, builder, 512);
  const std::string stem = stem_of(layout.head, "roberta");
  // The padding's own row comes before position 0.
  const std::int64_t padding = config.integer("pad_token_id", 0, encoder.positions - 2).value_or(1);
  layout.embedding.uncounted = padding;
  layout.embedding.position_offset = padding + 1;
  layout.max_positions = encoder.positions - layout.embedding.position_offset;
  add_encoder_embeddings(builder, encoder, stem);
  add_encoder_blocks(builder, encoder);
  builder.begin_head();
  const std::int64_t hidden = encoder.sizes.hidden;
  if (layout.head.kind == HeadKind::masked_token) {
    add_masked_token_head(builder,
                          {"lm_head.dense",
                           "lm_head.layer_norm",
                           "lm_head.decoder",
                           "lm_head.bias",
                           {"lm_head.decoder.bias"}},
                          hidden, hidden, Activation::gelu, encoder.epsilon,
                          read_flag(config, "tie_word_embeddings", true));
  }
  add_sequence_head(builder, "classifier.dense", "classifier.out_proj", hidden, Activation::tanh);
  add_token_head(builder, hidden);
  finish_encoder(builder, "roberta", class_stem);
  return layout;
}

}  // namespace qloft::architecture
