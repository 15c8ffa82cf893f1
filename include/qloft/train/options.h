#pragma once
// What a training run can be told. Plain data, no torch.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "qloft/data.h"

namespace qloft::train {

enum class Schedule : std::uint8_t { constant, linear, cosine };

std::string_view name(Schedule schedule);
std::optional<Schedule> schedule_from_name(std::string_view name);

// What one step may be made of.
inline constexpr std::int64_t kMostBatch = 1 << 16;
inline constexpr std::int64_t kMostAccumulate = 1 << 20;
inline constexpr std::int64_t kMostLength = 1 << 20;

struct Options {
  double learning_rate = 2e-4;
  Schedule schedule = Schedule::cosine;
  double warmup = 0.03;          // a share of all steps below 1, else a number of steps
  double min_learning_rate = 0;  // what cosine and linear end at, as a share of the learning rate
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  // Times the learning rate for an adapter's B, LoRA+ (Hayou et al. 2024); see AdamWOptions.
  double loraplus_lr_ratio = 1;
  double clip = 1.0;  // of the global gradient norm; 0: none
  double epochs = 1;
  std::int64_t max_steps = 0;   // 0: from epochs
  std::int64_t batch = 4;       // sequences (or packed rows) a micro-batch
  std::int64_t accumulate = 1;  // micro-batches a step
  std::int64_t length = 512;    // of packed rows
  data::Batching batching = data::Batching::padded;
  bool checkpointing = false;
  std::uint64_t seed = 0;           // of the data order and of dropout
  std::int64_t save_every = 0;      // steps; 0: only at the end
  std::int64_t evaluate_every = 0;  // steps; 0: at the end of each epoch
  // Evaluations without a better validation loss before an early stop; 0: off.
  std::int64_t patience = 0;
  std::filesystem::path folder;      // of the state
  std::filesystem::path log_folder;  // of metrics.jsonl and event files; empty: folder
  bool resume = false;
  // What else a resumed run must share with the one that was interrupted, in one line.
  std::string setup;
  // A fingerprint of the weights that the run began on, dense and packed.
  std::string base;

  // Throws InputError naming the field that is out of range.
  void validate() const;
};

}  // namespace qloft::train
