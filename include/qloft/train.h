#pragma once
// train: the optimizer, the schedule, the loop, and a state that resumes to the same bits. Knows
// the model's trainable tensors by name, not whether they are adapters or weights.
//
// A step is `accumulate` micro-batches. Its loss is the summed objective of all its micro-batches
// over all their predictions that count (transformers' num_items_in_batch), so that the cut into
// micro-batches changes rounding only.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/objectives.h"
#include "qloft/train/examples.h"
#include "qloft/train/options.h"
#include "qloft/train/summary.h"

namespace qloft::train {

// A micro-batch as it goes through the model.
struct Batch {
  model::Input input;
  at::Tensor loss_mask;                // u8 [rows, length]
  std::vector<std::int64_t> examples;  // their places in Examples, in the order of the rows
  std::int64_t tokens = 0;             // without padding
  std::int64_t predictions = 0;        // predictions that count
};

// The examples at these places as one micro-batch, padded.
Batch padded_batch(const Examples& examples, const std::vector<std::int64_t>& places,
                   const model::Model& model, model::AdapterId adapter);

// What is learned: a sum over the predictions of a micro-batch that count.
using Objective = std::function<objectives::Loss(model::Model& model, const Batch& batch)>;
Objective next_token();

// What a run is validated by: a number of the model as it stands. Leaves the model out of training
// mode, gradients off meanwhile.
struct Validation {
  std::string name;  // in metrics.jsonl
  std::function<double(model::Model& model)> measure;
  bool higher_is_better = false;
};

// Called when the weights as they stand should be written, with the number of steps done. With
// validation examples: at each new best validation loss, so that what was written last is the best.
// Without: every save_every steps and at the end.
using Save = std::function<void(std::int64_t step)>;

// The learning rate of `step` (from 0) of `steps`: transformers' get_constant_schedule_with_warmup,
// get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup (with min_learning_rate:
// get_cosine_with_min_lr_schedule_with_warmup), where the first of n warm-up steps has rate 0.
double learning_rate(const Options& options, std::int64_t step, std::int64_t steps);
// The warm-up of `options` in whole steps of `steps`.
std::int64_t warmup_steps(const Options& options, std::int64_t steps);

// AdamW (Loshchilov & Hutter 2019) on the model's trainable tensors, in passes with `adapter`
// (model::kNoAdapter: none); weight decay on those of two or more dimensions. Validation measures
// the next-token loss of `validation`, whatever is learned, or what `measure` says. Writes to
// options.folder, which must exist: training_state.safetensors and training_state.json every
// save_every steps, at a stop and at the end; to options.log_folder metrics.jsonl (a line a step:
// step, loss, learning_rate, gradient_norm, tokens and seconds since the beginning,
// tokens_per_second of the step; a line an evaluation: step, validation_loss) and TensorBoard's
// events.out.tfevents.*. What an earlier run left there is replaced unless options.resume.
//
// With options.resume the run goes on from the state in the folder: to the same bits as one that
// was never interrupted, if the number of threads is the same.
//
// Throws InputError for options out of range, or a state that is missing or of other options, other
// data or another model; ComputationError naming the step and the last save where the loss or the
// gradient is not a number; Interrupted after saving where progress asks to stop.
//
// `trained`: some of the model's trainable tensors, which alone are changed; none: all.
Summary train(model::Model& model, model::AdapterId adapter, const Examples& examples,
              const std::optional<Examples>& validation, const Options& options, const Save& save,
              Progress& progress, const Objective& objective = next_token(),
              const std::vector<std::pair<std::string, at::Tensor>>& trained = {},
              const std::optional<Validation>& measure = std::nullopt);

// Mean loss over the predictions that count of all these examples, `batch` (at least 1) at a time,
// nothing learned. Leaves the model out of training mode.
double validation_loss(model::Model& model, model::AdapterId adapter, const Examples& examples,
                       std::int64_t batch);

}  // namespace qloft::train
