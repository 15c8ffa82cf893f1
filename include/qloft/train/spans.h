#pragma once
// Questions over windows of a context: how a run learns where answers begin and end, and what a
// model says of it.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/squad.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::train {

// Kept in memory. Immutable; cheap to copy.
class Spans {
 public:
  // Each has three ids at least: one before all, of the question, of the context.
  explicit Spans(std::vector<data::SpanWindow> windows);
  std::int64_t size() const;
  const data::SpanWindow& operator[](std::int64_t place) const;
  // As train() takes them; each counts twice, for its beginning and its end.
  Examples examples() const;
  // Of batches of these examples: objectives::spans.
  Objective objective() const;
  // A hash of positions and types.
  std::uint64_t fingerprint() const;

  // The windows at these places as rows of one batch, padded.
  model::Input input(const std::vector<std::int64_t>& places, const model::Model& model,
                     model::AdapterId adapter) const;

 private:
  std::shared_ptr<const std::vector<data::SpanWindow>> windows_;
};

// What the model's head says of each id of a window: that an answer begins, and ends, there.
struct SpanScores {
  std::vector<float> starts, ends;
};
// Of each window, in their order; `batch` (at least 1) at a time, those of like length together.
// Leaves the model out of training mode. `stage`: what progress is told. Throws Interrupted where
// progress asks to stop; ComputationError where a score is not finite.
std::vector<SpanScores> span_scores(model::Model& model, model::AdapterId adapter,
                                    const Spans& spans, std::int64_t batch,
                                    const std::string& stage, Progress& progress);

}  // namespace qloft::train
