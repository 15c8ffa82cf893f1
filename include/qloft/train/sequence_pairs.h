#pragma once
// Sources and the targets that an encoder-decoder makes of them: how a run learns them.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "qloft/data/summaries.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::train {

// Kept in memory. Immutable; cheap to copy.
class SequencePairs {
 public:
  // Each has one id at least on both sides.
  explicit SequencePairs(std::vector<data::SequencePair> pairs);
  std::int64_t size() const;
  const data::SequencePair& operator[](std::int64_t place) const;
  // As train() takes them: a source and its target behind it, each token of which counts.
  Examples examples() const;
  // Of batches of these examples: objectives::sequence_to_sequence.
  Objective objective(double smoothing = 0) const;

  // The sources at these places as rows of one batch, padded.
  model::Source source(const std::vector<std::int64_t>& places, const model::Model& model) const;
  // The targets as well, int64 [rows, longest], -1 behind their ends.
  at::Tensor labels(const std::vector<std::int64_t>& places, const model::Model& model) const;

 private:
  std::shared_ptr<const std::vector<data::SequencePair>> pairs_;
};

}  // namespace qloft::train
