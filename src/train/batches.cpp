#include "batches.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "qloft/objectives.h"

namespace qloft::train {
namespace {

// Padding is never looked at: any id of the vocabulary does.
constexpr tokenizer::TokenId kPad = 0;

template <typename To, typename From>
at::Tensor to_tensor(const std::vector<From>& values, const data::Batch& batch, at::ScalarType type,
                     at::Device device) {
  at::Tensor tensor = at::empty({batch.rows, batch.length}, type);
  std::copy(values.begin(), values.end(), tensor.data_ptr<To>());
  return tensor.to(device);
}

}  // namespace

Batch prepare(const data::Batch& batch, const model::Model& model, model::AdapterId adapter) {
  const at::Device device = model.device();
  Batch prepared;
  prepared.input.adapters = {adapter};
  prepared.tokens = batch.tokens();
  prepared.predictions = batch.predictions();
  prepared.input.ids = to_tensor<std::int64_t>(batch.ids, batch, at::kLong, device);
  prepared.loss_mask = to_tensor<std::uint8_t>(batch.loss_mask, batch, at::kByte, device);
  // Padding at a row's end comes after all that attends: one segment a row needs no mask.
  const bool several = std::any_of(batch.segments.begin(), batch.segments.end(),
                                   [](std::int32_t segment) { return segment > 0; });
  if (several) {
    prepared.input.positions = to_tensor<std::int64_t>(batch.positions, batch, at::kLong, device);
    prepared.input.segments = to_tensor<std::int64_t>(batch.segments, batch, at::kLong, device);
  }
  return prepared;
}

std::vector<Batch> prepare_step(const Examples& examples,
                                const std::vector<MicroBatch>& micro_batches,
                                const Options& options, const model::Model& model,
                                model::AdapterId adapter) {
  std::vector<Batch> step;
  for (const MicroBatch& places : micro_batches) {
    if (options.batching == data::Batching::padded) {
      step.push_back(padded_batch(examples, places, model, adapter));
    } else {
      step.push_back(prepare(data::make_packed_batch(examples.get(places), options.length, kPad),
                             model, adapter));
      step.back().examples = places;
    }
  }
  return step;
}

Batch padded_batch(const Examples& examples, const std::vector<std::int64_t>& places,
                   const model::Model& model, model::AdapterId adapter) {
  Batch batch = prepare(data::make_padded_batch(examples.get(places), kPad), model, adapter);
  batch.examples = places;
  return batch;
}

double validation_loss(model::Model& model, model::AdapterId adapter, const Examples& examples,
                       std::int64_t batch) {
  at::NoGradGuard no_grad;
  model.set_training(false);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(examples.size()));
  std::iota(indices.begin(), indices.end(), 0);
  const auto& lengths = examples.lengths();
  std::stable_sort(indices.begin(), indices.end(), [&](std::int64_t a, std::int64_t b) {
    return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)];
  });
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t begin = 0; begin < examples.size(); begin += batch) {
    const std::int64_t end = std::min(begin + batch, examples.size());
    const Batch prepared =
        padded_batch(examples, {indices.begin() + begin, indices.begin() + end}, model, adapter);
    const objectives::Loss loss = objectives::next_token(model, prepared.input, prepared.loss_mask);
    sum += loss.sum.item<double>();
    count += loss.count;
  }
  return sum / static_cast<double>(count);
}

}  // namespace qloft::train
