#pragma once
// Sequences with labels: how a run learns them, and what a model says of them.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/labelled.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::train {

// Kept in memory. Immutable; cheap to copy.
class Labelled {
 public:
  explicit Labelled(std::vector<data::LabelledExample> examples);
  std::int64_t size() const;
  const data::LabelledExample& operator[](std::int64_t place) const;
  // As train() takes them; each counts once.
  Examples examples() const;
  // Of batches of these examples: objectives::classification.
  Objective objective() const;
  // A hash of labels and types.
  std::uint64_t fingerprint() const;

  // The examples at these places as rows of one batch, padded.
  model::Input input(const std::vector<std::int64_t>& places, const model::Model& model,
                     model::AdapterId adapter) const;
  // int64 [rows] for single labels, else f32 [rows].
  at::Tensor labels(const std::vector<std::int64_t>& places, const model::Model& model) const;

 private:
  std::shared_ptr<const std::vector<data::LabelledExample>> examples_;
};

// What the model's head says of each, in their order: f32 CPU [examples, labels]; `batch` (at least
// 1) at a time, those of like length together. Leaves the model out of training mode. `stage`: what
// progress is told. Throws Interrupted where progress asks to stop.
at::Tensor label_scores(model::Model& model, model::AdapterId adapter, const Labelled& labelled,
                        std::int64_t batch, const std::string& stage, Progress& progress);

}  // namespace qloft::train
