// Gemma 3 for images and text: its text model, with the image half left as it is.
#include "shared/gemma.h"

namespace qloft::architecture {

Layout gemma3(const io::Field& config) {
  Layout layout = gemma3_layout(config.at("text_config"), "gemma3", "model.language_model.",
                                read_flag(config, "tie_word_embeddings", true));
  layout.prefix = "model.language_model.";
  layout.other_prefixes = {"language_model.model.", "model."};
  Parameter& head = layout.parameters[static_cast<std::size_t>(layout.output.matrix)];
  head.storages = {{{head.name, head.shape}}, {{"language_model." + head.name, head.shape}}};
  layout.foreign_prefixes = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
                             "model.multi_modal_projector."};
  return layout;
}

}  // namespace qloft::architecture
