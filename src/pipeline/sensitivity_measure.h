#pragma once
// The loss of a model with matrices replaced, held against the full model.

#include <ATen/core/Tensor.h>

#include "load.h"
#include "qloft/objectives.h"
#include "targets.h"

namespace qloft::pipeline {

class SensitivityMeasure {
 public:
  // ids: int64 [windows, window]; sources, of an encoder-decoder, as many rows. The full model's
  // predictions are made here.
  SensitivityMeasure(LoadedModel& loaded, const at::Tensor& ids, const at::Tensor& sources);

  const objectives::Comparison& full() const { return full_; }
  // From here on the model has these values [out, in] in the target's place. current() is to be
  // asked before with().
  void put(const QuantizeTarget& target, MatrixView<const float> values);
  // The model as it is now.
  objectives::Comparison current();
  // With these values [out, in] in the target's place, which afterwards has its own again. Only
  // what comes behind it is computed (of an encoder-decoder all of it); targets in the order of the
  // forward pass are quickest.
  objectives::Comparison with(const QuantizeTarget& target, MatrixView<const float> values);

 private:
  // The first block whose output the target changes; -1: the embedding, layers: the output alone.
  std::int64_t first_block(const QuantizeTarget& target) const;
  // Takes the model's activations to before this block.
  void advance(std::int64_t block);
  at::Tensor states_from(std::int64_t block);

  LoadedModel& loaded_;
  model::Input input_;
  at::Tensor before_;  // [windows, window, hidden size], before block at_; of a decoder alone
  std::int64_t at_ = 0;
  model::TeacherRows teacher_;
  objectives::Comparison full_;
};

}  // namespace qloft::pipeline
