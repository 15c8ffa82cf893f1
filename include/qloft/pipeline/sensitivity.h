#pragma once
// Stage: what quantizing each matrix of a model by itself costs in loss, beside the errors that
// methods and plans go by, and how well each of these ranks the matrices.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/quantize.h"

namespace qloft::pipeline {

struct SensitivityOptions {
  // The model, and how each of its matrices is decomposed, by what quantize means with the same
  // options. With `stats` the errors that need them are reported, whatever the method's metric.
  // No plan, size, data or recovery.
  QuantizeOptions quantize;
  // In place of these: a folder that was quantized from the model. All its matrices are put in the
  // model first, and one at a time is full again: what it costs among the others.
  std::filesystem::path restore;
  std::filesystem::path data;    // the text that the loss is measured on
  std::filesystem::path output;  // a JSON file
  bool overwrite = false;
  std::int64_t windows = 4;          // of the text, from its beginning
  std::int64_t window = 256;         // tokens a window
  std::vector<std::int64_t> layers;  // matrices of these alone; empty: all
  // Matrices whose module's name has one of these as a part, "*" for any characters; empty: all.
  std::vector<std::string> match;
  std::string device = "cpu";
  std::string dtype = "auto";
  std::string matmul = "auto";
};

// One matrix, with all others as they are: full, or those of `restore`. Divergence and loss are
// then what the model with all of them has above the one in which this matrix is full. Errors are
// of W - (Q + s B A); what needs statistics that are not given is empty. Norms as in
// qloft/decompose/matrix_errors.h.
struct SensitiveMatrix {
  std::string name;                   // of the weight
  std::string kind;                   // "q_proj": the last part of its module's name
  std::optional<std::int64_t> layer;  // none: outside of the blocks
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::string format;
  double bits_per_weight = 0;  // stored
  double divergence = 0;       // Kullback-Leibler from the full model, nats a prediction
  double loss_increase = 0;    // of the next-token loss, nats a prediction
  double relative_error = 0;
  double squared_error = 0;  // what a plan sums
  std::optional<double> gram_error, gram_squared_error;
  std::optional<double> fisher_gram_error, fisher_gram_squared_error;
  std::optional<double> predicted_loss;  // nats a prediction, by the Fisher-Gram error
  double worst_output_error = 0;
  double worst_input_error = 0;
  double tail_error = 0;
  double weight_peak = 0;
  std::optional<double> input_peak;
  std::optional<std::int64_t> top_input;
  std::optional<double> top_share;
  double seconds = 0;
};

// Spearman's rank correlation of each figure with the divergence, over the matrices of one kind;
// empty where there are fewer than three or a figure is missing or the same for all.
struct SensitivityRanks {
  std::string kind;  // "all": of every kind
  std::int64_t matrices = 0;
  double divergence = 0;  // the sum
  double share = 0;       // of the sum over all matrices
  std::optional<double> loss_increase, relative_error, squared_error, gram_error,
      gram_squared_error, fisher_gram_error, fisher_gram_squared_error, predicted_loss,
      worst_output_error, worst_input_error, tail_error, weight_peak, input_peak;
};

struct SensitivityReport {
  std::filesystem::path output;
  Arithmetic arithmetic;  // without auto
  std::string method;     // without auto
  std::string format;
  std::int64_t rank = 0;
  std::int64_t windows = 0;
  std::int64_t predictions = 0;
  double loss = 0;                            // of the full model, nats a prediction
  double perplexity = 0;                      // of the full model
  std::optional<double> restored_divergence;  // with all matrices of `restore`
  double divergence = 0;                      // the sum over the matrices
  std::optional<double> predicted_loss;       // the sum over the matrices
  double seconds = 0;                         // of this run
  std::uint64_t peak_memory = 0;              // largest resident set of this run, bytes
  std::int64_t resumed = 0;                   // matrices that an interrupted run had finished
  std::vector<SensitiveMatrix> matrices;      // in the order of the forward pass
  std::vector<SensitivityRanks> ranks;        // all, then each kind
};

// The model is loaded once. Each matrix is decomposed, put in its place as Q + s B A in the type
// that activations have, measured from its layer on, and the full one is put back. Of an
// encoder-decoder all is measured, on targets that are windows, each of the one before as its
// source. OUTPUT, the report as JSON, appears whole; an interrupted run of the same options on the
// same contents is taken up at the next matrix.
//
// Throws InputError for a model that is quantized, a folder to restore that is not or is of another
// model, options of quantizing beside it, a text without a whole window, layers or parts
// of names that no matrix has, an output that is there already unless overwrite, and as quantize
// does for the rest; ComputationError naming the matrix with which the loss is not finite;
// Interrupted where progress asks to stop.
SensitivityReport sensitivity(const SensitivityOptions& options, Progress& progress);

// The report in a file that it wrote. Throws InputError for any other file.
SensitivityReport read_sensitivity(const std::filesystem::path& file);

}  // namespace qloft::pipeline
