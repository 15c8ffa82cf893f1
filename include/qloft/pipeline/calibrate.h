#pragma once
// Stage: a model and text to the statistics that the metrics of quantize need.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/named_columns.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/model_options.h"

namespace qloft::pipeline {

struct CalibrateOptions {
  // A full-precision or a quantized folder. An adapter (that of a quantized folder, or one named)
  // takes part.
  ModelOptions model;
  std::filesystem::path data;  // a text, or JSON Lines or an array (.jsonl, .json)
  // A task (qloft/evaluate/task.h) whose examples `data` has: the Fisher information is of its
  // loss.
  std::string task;
  data::NamedColumns columns;    // of the tasks classification and regression
  bool random_tokens = false;    // in place of data: tokens of the vocabulary, drawn at random
  std::filesystem::path output;  // one safetensors file
  bool overwrite = false;
  std::int64_t samples = 128;  // sequences
  std::int64_t length = 512;   // tokens of a sequence of text; the most that an example keeps
  bool gram = false;           // the Gram matrix of every linear layer's input
  bool fisher = false;         // Fisher factors of every linear layer; neither: both
  // How much a token counts in a Gram matrix: "even", or "loss", by the gradient of the loss
  // (calibrate::TokenWeights); of several matrices with one input each then has its own.
  std::string token_weights = "even";
  // Megabytes: both come from one forward pass where the Gram matrices of all layers take at most
  // this, else the Gram matrices layer by layer.
  std::int64_t gram_memory = 2048;
  std::uint64_t seed = 0;  // draws the sequences
};

struct CalibrateReport {
  Arithmetic arithmetic;  // without auto
  std::filesystem::path output;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t truncated_examples = 0;
  std::int64_t left_out_examples = 0;  // of the Fisher information: nothing in them counts
  std::int64_t matrices = 0;           // linear layers
  bool gram = false, fisher = false;
  bool one_pass = false;    // both come from one forward pass, whose time is fisher_seconds
  std::uint64_t bytes = 0;  // of the file
  double fisher_seconds = 0, gram_seconds = 0;
  double seconds = 0;             // of this run
  std::uint64_t peak_memory = 0;  // largest resident set of this run, bytes
  bool resumed = false;           // an interrupted run's work was taken up
};

// Text is cut into sequences of `length` tokens, of which `samples` are drawn; of JSON Lines
// or an array, `samples` rows are drawn, and the Fisher information is that of the loss on answers.
// The Fisher information of an encoder is of a task's loss, or, where it has a head for masked
// tokens, of 15 % of the tokens of a text (Devlin et al. 2019); else there are Gram matrices only.
// Of an encoder-decoder samples are pairs of a source and its target, and the Fisher information is
// that of the targets: a document and its summary of rows, a window of a text and the one behind
// it, or two sequences of random tokens.
// Random tokens are all of the vocabulary but the special ones, with equal chances.
// OUTPUT is built in OUTPUT.partial and renamed when it is whole; an interrupted run of the same
// options is taken up at the next 16 sequences (Fisher, and both in one pass) and at the next layer
// (Gram matrices).
//
// Progress is told where there are fewer tokens than a matrix has columns: its Gram matrix is then
// singular and will be damped. Throws InputError for a model, adapter or data that do not fit, an
// output that is there already unless overwrite; Interrupted where progress asks to stop.
CalibrateReport calibrate(const CalibrateOptions& options, Progress& progress);
// Throws InputError for options that calibrate refuses whatever the data are.
void check_calibrate(const CalibrateOptions& options);

}  // namespace qloft::pipeline
