// Gemma 3 (Kamath et al. 2025), the models for text alone: local and global layers with rotary
// embeddings of their own, norms of each head's query and key.
#include "shared/gemma.h"

namespace qloft::architecture {

Layout gemma3_text(const io::Field& config) {
  return gemma3_layout(config, "gemma3_text", "model.");
}

}  // namespace qloft::architecture
