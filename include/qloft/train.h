#pragma once
// train: the optimizer, the schedule, the loop, and a state that resumes to the same bits. Knows
// the model's trainable tensors by name, not whether they are adapters or weights.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/text/data.h"

namespace qloft::train {

enum class Schedule { constant, linear, cosine };

struct Options {
  double learning_rate = 2e-4;
  Schedule schedule = Schedule::cosine;
  double warmup = 0.03;          // a share of all steps below 1, else a number of steps
  double min_learning_rate = 0;  // what cosine and linear end at, as a share of the learning rate
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  double clip = 1.0;  // of the global gradient norm; 0: none
  double epochs = 1;
  std::int64_t max_steps = 0;   // 0: from epochs
  std::int64_t batch = 4;       // sequences (or packed rows) a micro-batch
  std::int64_t accumulate = 1;  // micro-batches a step
  std::int64_t length = 512;    // of packed rows
  text::Batching batching = text::Batching::padded;
  bool checkpointing = false;
  std::uint64_t seed = 0;
  std::int64_t save_every = 0;      // steps; 0: only at the end
  std::int64_t evaluate_every = 0;  // steps; 0: at the end of each epoch
  std::int64_t patience =
      0;  // evaluations without a better validation loss before an early stop; 0: off
  std::filesystem::path folder;  // state, metrics.jsonl and event files go here
  bool resume = false;
};

struct Summary {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double first_loss = 0;
  double last_loss = 0;
  std::optional<double> best_validation_loss;
  bool stopped_early = false;
  double seconds = 0;
  double tokens_per_second = 0;
};

// Called when the weights as they stand should be written (a new best, every save_every steps, the
// end).
using Save = std::function<void(std::int64_t step)>;

// The learning rate of `step` (from 0) of `steps`.
double learning_rate(const Options& options, std::int64_t step, std::int64_t steps);

// AdamW (Loshchilov & Hutter 2019) on the model's trainable tensors. Throws ComputationError naming
// the step and the last save where the loss is not a number; Interrupted after saving where
// progress asks to stop.
Summary train(model::Model& model, const text::DataSet& data,
              const std::vector<std::int64_t>& train_indices,
              const std::vector<std::int64_t>& validation_indices, const Options& options,
              const Save& save, Progress& progress);

// Mean loss over these examples, nothing learned.
double validation_loss(model::Model& model, const text::DataSet& data,
                       const std::vector<std::int64_t>& indices, std::int64_t batch);

}  // namespace qloft::train
