// RoBERTa (Liu et al. 2019): BERT whose positions begin behind the padding's row, and whose head
// reads the first state itself.
#include "shared/encoder.h"

namespace qloft::architecture {

Layout roberta(const io::Field& config) {
  return roberta_layout(config, "roberta", "Roberta");
}

}  // namespace qloft::architecture
