#pragma once
// Examples to the tensors that a forward pass takes.

#include <cstdint>
#include <vector>

#include "order.h"
#include "qloft/model.h"
#include "qloft/train/examples.h"

namespace qloft::train {

struct ModelBatch {
  model::Input input;
  at::Tensor loss_mask;          // u8 [rows, length]
  std::int64_t tokens = 0;       // without padding
  std::int64_t predictions = 0;  // predictions that count
};

ModelBatch prepare(const data::Batch& batch, const model::Model& model, model::AdapterId adapter);

// The micro-batches of one step. A packed one has options.length columns.
std::vector<ModelBatch> prepare_step(const Examples& examples,
                                     const std::vector<MicroBatch>& micro_batches,
                                     const Options& options, const model::Model& model,
                                     model::AdapterId adapter);

}  // namespace qloft::train
