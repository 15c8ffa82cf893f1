#include "qloft/train/labelled.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <span>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"
#include "qloft/objectives.h"
#include "score_batches.h"
#include "typed_sequences.h"

namespace qloft::train {

using at::Tensor;

Labelled::Labelled(std::vector<data::LabelledExample> examples)
    : examples_(std::make_shared<const std::vector<data::LabelledExample>>(std::move(examples))) {}

std::int64_t Labelled::size() const {
  return std::ssize(*examples_);
}

const data::LabelledExample& Labelled::operator[](std::int64_t place) const {
  return (*examples_)[static_cast<std::size_t>(place)];
}

Examples Labelled::examples() const {
  return examples_of(*examples_, 1);
}

std::uint64_t Labelled::fingerprint() const {
  std::uint64_t hash = 0;
  for (const data::LabelledExample& example : *examples_) {
    hash = mix(hash, std::as_bytes(std::span(&example.label, 1)));
    hash = mix(hash, std::as_bytes(std::span(example.types)));
  }
  return hash;
}

model::Input Labelled::input(const std::vector<std::int64_t>& places, const model::Model& model,
                             model::AdapterId adapter) const {
  return padded_input(*examples_, places, model, adapter);
}

Tensor Labelled::labels(const std::vector<std::int64_t>& places, const model::Model& model) const {
  std::vector<double> values;
  values.reserve(places.size());
  for (const std::int64_t place : places) values.push_back((*this)[place].label);
  const bool single = model.layout().head.problem == architecture::Problem::single_label;
  return at::tensor(values, at::kDouble).to(single ? at::kLong : at::kFloat);
}

Objective Labelled::objective() const {
  return [labelled = *this](model::Model& model, const Batch& batch) {
    const model::AdapterId adapter = batch.input.adapters.front();
    return objectives::classification(model, labelled.input(batch.examples, model, adapter),
                                      labelled.labels(batch.examples, model));
  };
}

Tensor label_scores(model::Model& model, model::AdapterId adapter, const Labelled& labelled,
                    std::int64_t batch, const std::string& stage, Progress& progress) {
  Tensor out;
  score_batches(model, lengths_of(labelled), batch, stage, "examples", progress,
                [&](const std::vector<std::int64_t>& places) {
                  const Tensor scores = model.scores(labelled.input(places, model, adapter)).cpu();
                  if (!out.defined()) {
                    out = at::empty({labelled.size(), scores.size(1)}, at::kFloat);
                  }
                  out.index_copy_(0, at::tensor(places, at::kLong), scores);
                });
  return out;
}

}  // namespace qloft::train
