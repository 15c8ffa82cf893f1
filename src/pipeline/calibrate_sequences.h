#pragma once
// What calibrate takes through a model, one sequence after the other, and what each adds.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "load.h"
#include "qloft/calibrate.h"
#include "qloft/data.h"
#include "qloft/data/omissions.h"
#include "qloft/pipeline/calibrate.h"

namespace qloft::pipeline {

struct Sequences {
  std::vector<data::Example> examples;
  // Of a decoder's next tokens: these alone can be taken through one block after the other.
  bool next_tokens = true;
  bool has_loss = true;  // else only Gram matrices come of it
  // Predictions of a sequence whose mean is its loss; 0: all tokens but the first.
  double predictions = 0;
  // Adds the sequence at this place.
  std::function<void(model::Model& model, model::AdapterId adapter, std::int64_t place,
                     const calibrate::SequenceSums& sums)>
      add;
};

// Those that the options draw: of a task its examples and their loss, of an encoder-decoder pairs
// (draw_pairs.h), else windows of a text or examples of a file of rows; an encoder with a head for
// masked tokens foretells some of them, one without has no loss on a text. `omissions` learns what
// was cut off or left out.
Sequences draw_sequences(const CalibrateOptions& options, const ModelInputs& model,
                         data::Omissions& omissions, Progress& progress);

}  // namespace qloft::pipeline
