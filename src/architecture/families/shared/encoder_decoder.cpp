#include "encoder_decoder.h"

#include <array>
#include <utility>

namespace qloft::architecture {

namespace {

constexpr std::array<ClassEnd, 6> kClasses = {{
    {"ForConditionalGeneration", HeadKind::sequence_to_sequence},
    {"ForSequenceClassification", HeadKind::sequence},
    {"ForQuestionAnswering", HeadKind::spans},
    {"ForTokenClassification", HeadKind::tokens},
    {"EncoderModel", HeadKind::states},
    {"Model", HeadKind::sequence_to_sequence},
}};

}  // namespace

Head read_pair_head(const io::Field& config, std::vector<HeadKind> kinds) {
  Head whole;
  whole.kind = HeadKind::sequence_to_sequence;
  const auto list = config.find("architectures");
  if (!list || list->elements().empty()) return whole;
  kinds.push_back(whole.kind);
  const HeadKind kind =
      kind_of_class(list->elements().front(), kClasses, kinds, "an encoder-decoder");
  return kind == whole.kind ? whole : read_labelled_head(config, kind);
}

void add_pair_head(LayoutBuilder& builder, const io::Field& config, std::int64_t default_end) {
  Layout& layout = builder.layout();
  const std::int64_t hidden = layout.hidden_size;
  builder.begin_head();
  add_token_head(builder, hidden);
  if (layout.head.kind != HeadKind::sequence) return;
  layout.head.pooling = Head::Pooling::last_end;
  layout.head.end_token =
      config.integer("eos_token_id", 0, layout.vocabulary_size - 1).value_or(default_end);
  layout.head.layers = {
      head_layer(builder, "classification_head.dense", hidden, hidden, Activation::tanh),
      head_layer(builder, "classification_head.out_proj", std::ssize(layout.head.labels), hidden)};
}

void allow_other_heads(Layout& layout) {
  for (const char* head :
       {"classification_head.", "qa_outputs.", "classifier.", "lm_head.", "final_logits_bias"}) {
    layout.foreign_prefixes.emplace_back(head);
  }
}

void read_target_tokens(const io::Field& config, std::int64_t default_start,
                        std::int64_t default_padding, Layout& layout) {
  const std::int64_t last = layout.vocabulary_size - 1;
  layout.encoder->start_token =
      config.integer("decoder_start_token_id", 0, last).value_or(default_start);
  layout.encoder->padding_token = config.integer("pad_token_id", 0, last).value_or(default_padding);
}

void add_attention(LayoutBuilder& builder, const Sizes& sizes, const AttentionNames& names,
                   Attention& attention) {
  attention.heads = attention.key_value_heads = sizes.heads;
  attention.head_dim = sizes.head_dim;
  const std::int64_t width = sizes.heads * sizes.head_dim;
  const std::string stem = names.stem + ".";
  LayoutBuilder::LinearOptions options{.bias = names.bias, .group = builder.full_name(names.stem)};
  const ParameterId query = builder.linear(stem + names.query, width, sizes.hidden, options);
  if (!attention.cross) options.input_of = query;
  const ParameterId key = builder.linear(stem + names.key, width, sizes.hidden, options);
  if (attention.cross) options.input_of = key;
  const ParameterId value = builder.linear(stem + names.value, width, sizes.hidden, options);
  attention.query = builder.whole(query);
  attention.key = builder.whole(key);
  attention.value = builder.whole(value);
  attention.output = builder.linear(stem + names.output, sizes.hidden, width, {.bias = names.bias});
}

ParameterId add_shared_embedding(LayoutBuilder& builder, const std::string& name,
                                 const std::string& stem, std::int64_t hidden) {
  const ParameterId id = builder.token_embedding(name, hidden);
  Parameter& rows = builder.layout().parameters[static_cast<std::size_t>(id)];
  rows.storages = {{{rows.name, rows.shape}},
                   {{stem + "encoder.embed_tokens.weight", rows.shape}},
                   {{stem + "decoder.embed_tokens.weight", rows.shape}}};
  return id;
}

void add_output_matrix(LayoutBuilder& builder, std::int64_t hidden, bool tied) {
  Layout& layout = builder.layout();
  const ParameterId id = builder.output_matrix("lm_head", hidden, tied);
  if (tied) return;
  Parameter& output = layout.parameters[static_cast<std::size_t>(id)];
  output.storages = {{{output.name, output.shape}}};
  for (const Storage& storage : layout.parameter(layout.embedding.tokens).storages) {
    output.storages.push_back(storage);
  }
}

}  // namespace qloft::architecture
