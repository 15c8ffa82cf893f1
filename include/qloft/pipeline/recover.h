#pragma once
// Stage: a quantized folder, the model that it was made of, and text to a quantized folder whose
// outputs are nearer to that model's (docs/methods/recover.md).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/train/options.h"
#include "qloft/train/summary.h"

namespace qloft::pipeline {

// What is brought near to the teacher's: the probabilities (Kullback-Leibler divergence), the
// hidden states that the output matrix is applied to, or the states after each block, one block
// after the other.
enum class RecoveryLoss : std::uint8_t { kl, hidden, blocks };
std::string_view name(RecoveryLoss loss);

struct RecoverOptions {
  RecoverOptions();  // sets training defaults of its own

  std::string model;    // a quantized folder, or a hub name
  std::string teacher;  // a folder of the same shapes, or a hub name
  // A text, or JSON Lines or an array (.jsonl, .json), of which the learned tokens count.
  std::filesystem::path data;
  // Sequences of train.length tokens, or rows; default: what the steps take, or 256 by epochs.
  std::optional<std::int64_t> samples;
  std::filesystem::path output;
  bool overwrite = false;
  // Where the teacher's outputs are kept for other runs; empty: in OUTPUT.work until the end.
  std::filesystem::path cache;
  std::filesystem::path chat_template;  // in place of the adapter's or the model's own
  std::string device = "cpu";
  // Of activations and dense weights: auto, f32 or bf16. What is trained is f32.
  std::string dtype = "auto";
  std::string matmul = "auto";  // products with weights: auto, float (in dtype) or int8

  RecoveryLoss loss = RecoveryLoss::kl;
  std::int64_t teacher_logits = 64;  // the greatest of the teacher's that are kept, or all
  double next_token_weight = 0;      // of the next-token loss, from 0 to 1; the rest is the teacher

  // Of "adapter", "norms" (their weights and biases), "biases" (of linear layers) and "scales" (of
  // the blocks of packed linear layers).
  std::vector<std::string> train_parts = {"adapter"};
  // It begins with the adapter inside the folder, else (or with `fresh`) with a fresh one, as
  // FinetuneOptions has it.
  bool fresh = false;
  std::optional<std::int64_t> rank;         // 16
  std::optional<double> alpha;              // the rank
  bool rslora = false;                      // scale alpha / sqrt(rank)
  std::vector<std::string> target_modules;  // "q_proj", ...; empty: all linear layers
  // How the adapter is stored: f32, bf16, f16, f8 or nf8 (as that in the folder, else f32).
  std::optional<std::string> save_dtype;

  // length is that of sequences of text, and the most that a row keeps; folder and log_folder are
  // set by the stage. With blocks the steps and epochs are those of each block.
  train::Options train;
};

struct RecoverReport {
  train::Summary summary;  // losses: the mixed loss a prediction; of blocks the mean over them
  Arithmetic arithmetic;   // without auto
  std::int64_t trained_parameters = 0;
  std::int64_t sequences = 0;
  std::int64_t truncated_examples = 0;
  std::int64_t left_out_examples = 0;  // nothing in them counts
  // Sequences that are not learned, and their loss by what MODEL and by what OUTPUT holds; there
  // are some where there are 32 to learn or more, but of blocks and encoder-decoders.
  std::int64_t held_out = 0;
  std::optional<double> held_out_before, held_out_after;
  std::uint64_t cache_bytes = 0;  // of the teacher's outputs
  double teacher_seconds = 0;     // making them; 0: they were there
  double seconds = 0;             // of this run
  std::uint64_t peak_memory = 0;  // largest resident set of this run, bytes
  std::filesystem::path output;
};

// Writes OUTPUT: the folder MODEL with its packed weights as they are (where no norms or biases
// were trained linked if the file system can, else copied), its adapter trained, and what was done
// in config.json's quantization_config ("recovered"); so that whatever takes MODEL takes OUTPUT.
// metrics.jsonl and TensorBoard's event files stand beside.
//
// Of an encoder-decoder sequences are targets of a source, drawn as calibrate draws them; its
// blocks are not recovered one by one.
//
// Where the sequences that were held out are farther from the teacher than before by more than a
// hundredth, progress is warned; where they are merely no nearer, it is told.
//
// The teacher's outputs are made first and kept in a file named by all that they depend on; then
// the teacher is released and the student loaded. An interrupted run goes on with that file; where
// steps were saved, train.resume goes on with these, to the same bits. With blocks nothing of the
// teacher is kept: both models are loaded, what their blocks make of the sequences is held in
// memory, and logs stand in blocks/N.
//
// Throws InputError for a MODEL that is not quantized, a teacher of other shapes, options that do
// not fit each other, data without a prediction that counts, a text of fewer tokens than one
// sequence, a rank above a matrix's, an output folder that is not empty (unless overwrite), an
// interrupted run that neither resume nor overwrite mentions; and what train::train throws.
RecoverReport recover(const RecoverOptions& options, Progress& progress);
// Throws InputError for options that recover refuses whatever the model and the data are.
void check_recover(const RecoverOptions& options);

}  // namespace qloft::pipeline
