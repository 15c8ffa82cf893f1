#pragma once
// Stage: a model and examples to a trained adapter, or to trained weights.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/train/options.h"
#include "qloft/train/summary.h"

namespace qloft::pipeline {

struct FinetuneOptions {
  std::string model;                        // a folder, or a hub name
  std::vector<std::filesystem::path> data;  // JSON Lines
  std::optional<std::filesystem::path> validation;
  double validation_share = 0;  // of the data, in place of a validation file
  std::filesystem::path output;
  bool overwrite = false;
  std::string method = "lora";  // or "full"
  std::string device = "cpu";
  std::string dtype = "f32";     // of activations and dense weights: f32 or bf16; adapters are f32
  std::string matmul = "float";  // products with weights: float (in dtype) or int8

  // lora: it begins with `adapter`, else with the one inside a quantized folder, else fresh, by the
  // fields below: A uniform in +-1/sqrt(in) as PEFT draws it, B zero. Where one of them is set and
  // the adapter that is continued says otherwise, that is an error (dropout excepted).
  std::optional<std::filesystem::path> adapter;
  bool any_base = false;                    // take one that names another base than MODEL
  bool fresh = false;                       // do not take the one inside a quantized folder
  std::optional<std::int64_t> rank;         // 16
  std::optional<double> alpha;              // the rank
  bool rslora = false;                      // scale alpha / sqrt(rank)
  std::optional<double> dropout;            // 0, or the adapter's
  std::vector<std::string> target_modules;  // "q_proj", ...; empty: all linear layers

  // full: from random weights, MODEL giving config.json and the tokenizer only.
  bool from_random = false;
  std::optional<std::filesystem::path> tokenizer;  // folder of the tokenizer; default: MODEL

  // full: f32, bf16 or f16 (config.json's). lora: these, or nf8 for factors in 8 bits (f32).
  std::optional<std::string> save_dtype;

  // length is the longest example too, and not more than the model's positions; folder and
  // log_folder are set by the stage.
  train::Options train;
};

struct FinetuneReport {
  train::Summary summary;
  std::string method;
  std::int64_t trained_parameters = 0;
  std::int64_t train_examples = 0;
  std::int64_t validation_examples = 0;
  std::filesystem::path output;
  double seconds = 0;  // of this run, loading and writing included
};

// Writes OUTPUT: for lora a PEFT adapter folder, for full a plain Hugging Face folder; with
// metrics.jsonl, TensorBoard event files and training/ (the state for a resumed run) in it. With
// validation examples the weights are those of the best validation loss. OUTPUT is built as
// OUTPUT.partial and renamed when the run is done; an interrupted run stays there, and
// train.resume goes on with it.
//
// Throws InputError for options that do not fit each other, full fine-tuning of a quantized folder,
// a rank above a matrix's, an unknown target module, an adapter for another model, an output folder
// that is not empty (unless overwrite or train.resume), an interrupted run that neither resume nor
// overwrite mentions; and what train::train throws.
FinetuneReport finetune(const FinetuneOptions& options, Progress& progress);

}  // namespace qloft::pipeline
