#pragma once
// Stage: a model and its adapter to a plain full-precision folder.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qloft/core/progress.h"

namespace qloft::pipeline {

struct MergeOptions {
  std::string model;    // plain or quantized: a folder, or a hub name
  std::string adapter;  // a PEFT folder; empty: the one inside a quantized folder
  std::string task;     // that the adapter was trained for (qloft/evaluate/task.h), for its head
  // Of the task classification; without a task too it is found beside an adapter of finetune.
  std::vector<std::string> labels;
  bool bare = false;      // Q alone: no adapter, not even the one inside
  bool any_base = false;  // take an adapter that names another base than this model
  std::filesystem::path output;
  bool overwrite = false;
  std::string dtype;  // f32, bf16 or f16; empty: config.json's
};

struct MergeReport {
  std::filesystem::path output;
  std::string dtype;
  std::int64_t merged = 0;       // modules whose adapter was multiplied out
  std::int64_t dequantized = 0;  // packed matrices
  double seconds = 0;
  std::uint64_t peak_memory = 0;
};

// Writes W = Q + s B A for every packed or adapted matrix and all other floating-point tensors, one
// at a time, in `dtype`; tensors of other types as they are. Tokenizer and chat template are those
// beside the adapter, if any, else the model's. An adapter of lm_head where it is tied
// to the embeddings unties it. OUTPUT is built as OUTPUT.partial; an interrupted run of the same
// options is taken up where it stopped.
//
// Throws InputError for a plain model without an adapter, an adapter that was made for another base
// (unless any_base), an adapter that names a module or a shape
// which the model does not have, an output folder that is not empty unless overwrite; Interrupted
// where progress asks to stop.
MergeReport merge(const MergeOptions& options, Progress& progress);

}  // namespace qloft::pipeline
