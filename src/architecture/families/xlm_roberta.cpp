// XLM-RoBERTa (Conneau et al. 2020): RoBERTa for a hundred languages.
#include "shared/encoder.h"

namespace qloft::architecture {

Layout xlm_roberta(const io::Field& config) {
  return roberta_layout(config, "xlm-roberta", "XLMRoberta");
}

}  // namespace qloft::architecture
