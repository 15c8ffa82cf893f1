#pragma once
// All that a run needs to go on to the same bits: training_state.safetensors. Its tensors are the
// trainable tensors and the optimizer's moments and masters; its metadata "state" is the JSON of
// the rest. training_state.json repeats that JSON for people: only the first file is read, so the
// two cannot disagree after a crash between them. Nothing random is in it: the data order and
// dropout are functions of the seed and the step.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "optimizer.h"
#include "qloft/io.h"
#include "qloft/train/options.h"

namespace qloft::train {

inline constexpr std::string_view kStateFile = "training_state.safetensors";
inline constexpr std::string_view kStateJson = "training_state.json";
inline constexpr int kStateVersion = 1;

// How far a run is, and what its summary has gathered so far.
struct RunState {
  std::int64_t step = 0;  // done
  std::int64_t tokens = 0;
  double seconds = 0;
  double first_loss = 0;
  double last_loss = 0;
  std::optional<double> best_validation_loss;
  std::int64_t best_step = 0;
  std::int64_t evaluated_step = 0;  // of the last evaluation; 0: none
  std::int64_t evaluations_without_better = 0;
  bool stopped_early = false;
};

// What a state belongs to: the run that made it and the one that wants it must agree.
struct Identity {
  Options options;
  std::int64_t steps = 0;  // in all
  std::string data;        // fingerprint of the training and validation examples
  std::string model;       // fingerprint of what is not trained
  int threads = 1;
};

// Both files are written whole or not at all. Throws SystemError where the disk is full.
void save_state(const std::filesystem::path& folder, const RunState& state,
                const Identity& identity, const AdamW& optimizer);

struct Resumed {
  RunState state;
  int threads = 1;  // of the run that saved
};

// Puts everything back into the optimizer's tensors. Throws InputError naming
// the file and what differs: options (those that change the result; learning rate options and the
// number of steps may change as long as the rates of the steps that are done stay the same), data,
// model, names, types or shapes.
Resumed load_state(const std::filesystem::path& folder, const Identity& identity, AdamW& optimizer);

bool has_state(const std::filesystem::path& folder);
void remove_state(const std::filesystem::path& folder);

}  // namespace qloft::train
