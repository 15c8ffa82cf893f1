#pragma once
// Stage: a model and examples to a trained adapter, or to trained weights.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/named_columns.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/train/options.h"
#include "qloft/train/summary.h"

namespace qloft::adapter {
struct Config;
}
namespace qloft::architecture {
struct Layout;
}

namespace qloft::pipeline {

struct FinetuneOptions {
  std::string model;                        // a folder, or a hub name
  std::vector<std::filesystem::path> data;  // JSON Lines or arrays
  // A task (qloft/evaluate/task.h) that its files are learned for, with the head that it needs, and
  // validated by its first score; empty: next tokens are learned.
  std::string task;
  data::NamedColumns columns;  // of classification and regression
  std::int64_t stride = 128;   // of squad and squad_v2, as they have it
  // Of summarization, as it has them.
  std::int64_t summary_length = 0;
  std::string prefix;
  std::string source_language, target_language;
  std::int64_t num_beams = 0;  // of the validation
  double label_smoothing = 0;  // the share of a target that all tokens have alike, below 1
  std::optional<std::filesystem::path> validation;
  double validation_share = 0;  // of the data, in place of a validation file
  // A template, or JSON with chat_template, in place of the adapter's or the model's own.
  std::filesystem::path chat_template;
  std::int64_t show = 0;  // of show_examples
  std::filesystem::path output;
  bool overwrite = false;
  std::string method = "lora";  // or "full"
  std::string device = "cpu";
  // Of activations and dense weights: auto, f32 or bf16. What is trained is f32.
  std::string dtype = "auto";
  std::string matmul = "auto";  // products with weights: auto, float (in dtype) or int8

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
  // Folder of the tokenizer and chat template; default: that of an adapter that has them, or MODEL.
  std::optional<std::filesystem::path> tokenizer;

  // full: f32, bf16 or f16 (config.json's). lora: these, or f8 or nf8 for factors in 8 bits (f32).
  std::optional<std::string> save_dtype;

  // length is the longest example too, and not more than the model's positions; folder and
  // log_folder are set by the stage.
  train::Options train;
};

struct FinetuneReport {
  train::Summary summary;
  // Of a task: the score that the best weights were found by, and its best value.
  std::string score;
  std::optional<double> best_score;
  std::string method;
  Arithmetic arithmetic;  // without auto
  std::int64_t trained_parameters = 0;
  std::int64_t train_examples = 0;
  std::int64_t validation_examples = 0;
  std::filesystem::path output;
  double seconds = 0;  // of this run, loading and writing included
};

// Writes OUTPUT: for lora a PEFT adapter folder, for full a plain Hugging Face folder; with
// the tokenizer and chat template that it was trained with, metrics.jsonl, TensorBoard event files
// and training/ (the state for a resumed run) in it. With validation examples the weights are those
// of the best validation loss. OUTPUT is built as OUTPUT.partial and renamed when the run is done;
// an interrupted run stays there, and train.resume goes on with it.
//
// Throws InputError for options that do not fit each other, full fine-tuning of a quantized folder,
// a rank above a matrix's, an unknown target module, an adapter for another model, an output folder
// that is not empty (unless overwrite or train.resume), an interrupted run that neither resume nor
// overwrite mentions; and what train::train throws.
FinetuneReport finetune(const FinetuneOptions& options, Progress& progress);
// Throws InputError for options that finetune refuses whatever the model and the data are.
void check_finetune(const FinetuneOptions& options);
// Reads all of the data as finetune does, and throws what it throws for them.
void check_training_data(const FinetuneOptions& options, Progress& progress);
// Throws InputError for target modules that a model of this layout lacks, or a rank above theirs.
void check_fresh_adapter(const architecture::Layout& layout, const FinetuneOptions& options);
// What an adapter that is continued has settled cannot be asked for otherwise: throws InputError at
// its `folder`.
void expect_as_continued(const adapter::Config& config, const FinetuneOptions& options,
                         const std::filesystem::path& folder);

// An example as the first epoch sees it.
struct ShownExample {
  std::filesystem::path file;
  std::string location;             // in the file: "line 3", "element 3"
  std::vector<std::string> tokens;  // what each id adds to the text
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> learned;  // 1: its prediction counts in the loss
  bool truncated = false;
  std::int64_t dropped = 0;  // ids that were cut off
  bool left_out = false;     // nothing in it counts
  bool endless = false;      // no end token behind what is learned
  // The step that meets it first, and where in the step it lies, counted from 1 (the column from
  // 0); empty where it is left out, or the run ends before.
  std::optional<std::int64_t> step, micro_batch, row, column;
};

struct ShowReport {
  std::vector<ShownExample> shown;
  std::int64_t examples = 0;  // to train on, those that are left out included
  std::int64_t truncated_examples = 0;
  std::int64_t skipped_examples = 0;  // left out: nothing in them counts
  std::int64_t endless_examples = 0;
  std::int64_t tokens = 0;   // of the first epoch
  std::int64_t learned = 0;  // of them
  std::int64_t steps_per_epoch = 0;
  std::int64_t steps = 0;
};

// The first options.show examples in the order of the files, and what all of them come to. Nothing
// is trained or written, no weights are read; an output is not needed. All data are read, so that a
// broken row is found. Throws as finetune does for the rest.
ShowReport show_examples(const FinetuneOptions& options, Progress& progress);

}  // namespace qloft::pipeline
