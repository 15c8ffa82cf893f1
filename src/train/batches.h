#pragma once
// Examples to the tensors that a forward pass takes.

#include <cstdint>
#include <vector>

#include "order.h"
#include "qloft/model.h"
#include "qloft/train.h"
#include "qloft/train/examples.h"

namespace qloft::train {

Batch prepare(const data::Batch& batch, const model::Model& model, model::AdapterId adapter);

// The micro-batches of one step. A packed one has options.length columns.
std::vector<Batch> prepare_step(const Examples& examples,
                                const std::vector<MicroBatch>& micro_batches,
                                const Options& options, const model::Model& model,
                                model::AdapterId adapter);

}  // namespace qloft::train
