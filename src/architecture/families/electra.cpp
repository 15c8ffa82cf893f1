// ELECTRA (Clark et al. 2020): BERT with embeddings that may be narrower than its states.
#include "shared/encoder.h"

namespace qloft::architecture {

Layout electra(const io::Field& config) {
  LayoutBuilder builder("electra", stem_of(read_head(config), "electra") + "encoder.layer.");
  Layout& layout = builder.layout();
  Encoder encoder = read_encoder(config, builder, 512);
  if (!config.has("embedding_size")) encoder.width = 128;
  const std::int64_t hidden = encoder.sizes.hidden;
  add_encoder_embeddings(builder, encoder, stem_of(layout.head, "electra"));
  add_encoder_blocks(builder, encoder);
  builder.begin_head();
  if (layout.head.kind == HeadKind::masked_token) {
    add_masked_token_head(builder,
                          {"generator_predictions.dense",
                           "generator_predictions.LayerNorm",
                           "generator_lm_head",
                           "generator_lm_head.bias",
                           {}},
                          hidden, encoder.width, Activation::gelu, encoder.epsilon,
                          read_flag(config, "tie_word_embeddings", true));
  }
  add_sequence_head(builder, "classifier.dense", "classifier.out_proj", hidden, Activation::gelu);
  add_token_head(builder, hidden);
  finish_encoder(builder, "electra", "Electra");
  return layout;
}

}  // namespace qloft::architecture
