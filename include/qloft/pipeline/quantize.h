#pragma once
// Stage: a full-precision model to a quantized folder with its initial adapter.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/named_columns.h"

namespace qloft::adapter {
struct Config;
}
namespace qloft::decompose {
struct Preset;
}

namespace qloft::pipeline {

struct QuantizeOptions {
  std::string model;  // a folder, or a hub name
  std::filesystem::path output;
  bool overwrite = false;
  // A preset of decompose; what is not set below comes from it. auto: the loop of LoftQ, and with
  // `data` or `stats` the method qloft.
  std::string method = "auto";
  std::optional<std::string> metric;  // "frobenius", "fisher", "gram", ...
  std::optional<double> damping;      // of Gram matrices, in parts of the diagonal's mean
  std::filesystem::path stats;        // what calibrate wrote; the metrics but frobenius need it
  std::filesystem::path data;         // in place of stats: a text, or JSON Lines, to calibrate on
  std::string task;                   // that data are of: CalibrateOptions'
  data::NamedColumns columns;         // CalibrateOptions'
  bool random_tokens = false;         // in place of data: CalibrateOptions'
  // What matrices are calibrated on: "full", the inputs that the full model's matrices give, or
  // "quantized", those that the quantized ones before a matrix give, so that it makes up for their
  // errors (decompose::Statistics::shift); of a decoder, with data or random_tokens. auto: the
  // latter by the method auto where a decoder has data.
  std::string inputs = "auto";
  // Of data or random_tokens, as CalibrateOptions'; none: 128 of 512 tokens (64 of random ones), or
  // what model and text allow.
  std::optional<std::int64_t> samples, length;
  // Of these, as CalibrateOptions'. auto: "loss" where a plan is made, for that; else "even".
  std::string token_weights = "auto";
  std::filesystem::path chat_template;  // for conversations in data, in place of the model's own

  // A file of `plan`: a format for each matrix in place of all that follows up to second_code and
  // of target_modules, which must then not be set.
  std::optional<std::filesystem::path> plan;

  std::optional<double> bits;             // 1 to 8; 2.5: stored, by a plan
  std::optional<std::string> size;        // in place of bits: as PlanOptions', by a plan
  std::optional<std::string> codebook;    // "nf", "uniform", ...
  std::optional<std::int64_t> block;      // 16 to 4096; 0: one block a row
  std::optional<std::string> scale;       // "absmax", "mse" or "deviation"
  std::optional<std::string> scale_type;  // "f32", "bf16", "f16", or "double": a second level
  // The second level; 8 bits, 256, f32, dynamic where nothing is said. Fewer bits mean uniform.
  std::optional<int> second_bits;
  std::optional<std::int64_t> second_block;
  std::optional<std::string> second_type;
  std::optional<std::string> second_code;  // "dynamic" or "uniform"

  // 0: no adapter; none: 16 (the method auto: 32 in f8), or with a size as `ranks`. A plan that
  // has ranks says it for each matrix.
  std::optional<std::int64_t> rank;
  // As PlanOptions', by a plan; with a size and no rank of 8, 16, 32 and 64 those that fit.
  std::vector<std::int64_t> ranks;
  std::optional<double> alpha;           // the rank, so that the adapter's scale is 1
  std::optional<int> iterations;         // of the preset's loop
  std::optional<double> low_rank_start;  // decompose::Recipe::low_rank_start
  std::optional<std::string> effort;     // a name of decompose::efforts
  bool exact = false;                    // full singular value decompositions
  std::uint64_t seed = 0;
  // Ends of module names ("q_proj"), or whole ones. Empty: all linear layers of the architecture;
  // "lm_head" and "embed_tokens" are quantized only where they are named.
  std::vector<std::string> target_modules;
  // f32, bf16, f16, f8 (8 bits, which PEFT reads) or nf8 (more exact ones, which it does not).
  // auto: bf16 where the model is stored in 16 bits, else f32; of the method auto f8, where no rank
  // is given.
  std::string adapter_dtype = "auto";
  // Steps in which recover trains the adapter on `data`, with `model` as the teacher; 0: none.
  std::int64_t recover = 0;
};

inline constexpr std::int64_t kDefaultRank = 16;

// QuantizeOptions::inputs.
inline constexpr std::string_view kFullInputs = "full", kQuantizedInputs = "quantized";
inline bool is_sequential(const QuantizeOptions& options) {
  return options.inputs == kQuantizedInputs;
}

struct QuantizedMatrix {
  std::string name;                   // of the weight
  std::optional<std::int64_t> layer;  // none: outside of the blocks
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::string format;
  double bits_per_weight = 0;
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| after every iteration
  std::string metric;                  // the method's; "frobenius" where nothing is known
  std::vector<double> metric_error;    // the same in this metric
  std::vector<double> svd_residual;
  double seconds = 0;
};

struct QuantizeReport {
  std::filesystem::path output;
  std::string chosen, reason;  // by the method auto: what, and why; else empty
  std::int64_t rank = 0;       // the adapter's, the largest where they differ; 0: none
  std::string format;          // of the matrices; "3 formats" where a plan mixes them
  double bits_per_weight = 0;  // stored bits over weights, all quantized matrices together
  // Stored bits of the adapter over the same weights: what it adds to bits_per_weight.
  double adapter_bits_per_weight = 0;
  double total_bits_per_weight = 0;  // both: all that is stored of a quantized weight
  double relative_error = 0;         // mean over the matrices of the last relative error
  std::string metric;                // of the method
  double metric_error = 0;           // mean of the last errors of the matrices with that metric
  double seconds = 0;                // of this run
  std::uint64_t peak_memory = 0;     // largest resident set of this run, bytes
  std::int64_t resumed = 0;          // matrices that an interrupted run had finished
  // Of the recovery, where it was asked for: losses a prediction, and its time.
  std::optional<double> first_loss, last_loss, recover_seconds;
  std::optional<double> held_out_before, held_out_after;  // as in RecoverReport
  std::vector<QuantizedMatrix> matrices;
};

// With `data` the statistics are made first, and with a size, or bits that are no whole number, a
// plan; they stand in OUTPUT.work until the folder is done. With `recover` the quantized folder
// stands there too, and OUTPUT is what recover makes of it; a run that was stopped goes on with the
// steps that were saved.
//
// Reads, decomposes and writes one matrix at a time: memory is that of the largest matrix, not of
// the model. With quantized inputs the model runs beside it, of which one block's matrices are
// held, and two states for each token of the data. OUTPUT is built as OUTPUT.partial and renamed
// when it is whole; an interrupted run is taken up at the next matrix if its options are the same,
// else begun anew (progress is told).
//
// Throws InputError for a model that is quantized already or has a missing or misshapen tensor, an
// unknown target, a plan that is broken or not for this model, a rank above a matrix's, a format
// whose parts do not fit, a weight that is not finite (each named), statistics that the metric
// needs and that are missing or of another model, an output folder that is not empty unless
// overwrite; Interrupted where progress asks to stop.
QuantizeReport quantize(const QuantizeOptions& options, Progress& progress);

// The method's row, with the effort that is asked for. Throws InputError where there is none of
// that name.
decompose::Preset preset_of(const QuantizeOptions& options);

// Throws what quantize throws for options and model before it looks at the output; else the adapter
// that the folder will hold.
adapter::Config check_quantize(const QuantizeOptions& options);

}  // namespace qloft::pipeline
