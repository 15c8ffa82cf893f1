// BERT (Devlin et al. 2019): norms behind each sum, learned positions, types of tokens.
#include "shared/encoder.h"

namespace qloft::architecture {

Layout bert(const io::Field& config) {
  LayoutBuilder builder("bert", stem_of(read_head(config), "bert") + "encoder.layer.");
  Layout& layout = builder.layout();
  const Encoder encoder = read_encoder(config, builder, 512);
  const std::string stem = stem_of(layout.head, "bert");
  const std::int64_t hidden = encoder.sizes.hidden;
  add_encoder_embeddings(builder, encoder, stem);
  add_encoder_blocks(builder, encoder);
  builder.begin_head();
  if (layout.head.kind == HeadKind::masked_token) {
    const std::string head = "cls.predictions.";
    add_masked_token_head(builder,
                          {head + "transform.dense",
                           head + "transform.LayerNorm",
                           head + "decoder",
                           head + "bias",
                           {head + "decoder.bias"}},
                          hidden, hidden, encoder.activation, encoder.epsilon,
                          read_flag(config, "tie_word_embeddings", true));
  }
  add_sequence_head(builder, stem + "pooler.dense", "classifier", hidden, Activation::tanh);
  add_token_head(builder, hidden);
  finish_encoder(builder, "bert", "Bert");
  return layout;
}

}  // namespace qloft::architecture
