#include "qloft/pipeline/calibrate.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "calibrate_collect.h"
#include "calibrate_inputs.h"
#include "calibrate_sequences.h"
#include "clock.h"
#include "load.h"
#include "matrix_statistics.h"
#include "qloft/calibrate.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core.h"
#include "qloft/data/omissions.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/output.h"
#include "qloft/statistics.h"
#include "suspects.h"
#include "task_head.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
using statistics::TokenWeights;
namespace {

constexpr double kMegabyte = 1e6;

OutputRequest output_of(const CalibrateOptions& options) {
  return {.output = options.output,
          .overwrite = options.overwrite,
          .command = "calibrate",
          .inputs = {checkpoint::resolve(options.model.model), options.data, options.model.adapter,
                     options.model.chat_template},
          .kind = OutputRequest::Kind::file};
}

// Of an encoder without a task its own.
std::optional<architecture::HeadRequest> head_of(const CalibrateOptions& options) {
  const checkpoint::Checkpoint source(checkpoint::resolve(options.model.model));
  if (!options.task.empty()) {
    const evaluate::Task& task = evaluate::learned_task(options.task);
    return head_for(task, settings_of(task, options.columns), source.folder(),
                    adapter_folder(source, options.model), {options.data});
  }
  const fs::path file = source.folder() / "config.json";
  return architecture::own_head(architecture::read_layout(io::read_json(file), file));
}

TokenWeights token_weights_of(const CalibrateOptions& options) {
  const auto found = statistics::token_weights_from_name(options.token_weights);
  if (found) return *found;
  throw InputError({{}, "token_weights"},
                   "expected even or loss, found '" + options.token_weights + "'");
}

// Where there is no loss, nothing that comes of it must have been asked for.
void settle_statistics(const CalibrateOptions& options, const Sequences& sequences,
                       CalibrateReport& report, Progress& progress) {
  if (sequences.has_loss) return;
  const bool weighted = token_weights_of(options) == TokenWeights::loss;
  if (options.fisher || weighted) {
    throw InputError({{}, weighted ? "token_weights" : "fisher"},
                     "the model has no loss on a text: expected Gram matrices (--gram) or a task "
                     "(--task)");
  }
  if (!report.fisher) return;
  report.fisher = false;
  progress.note("Gram matrices only: the model has no loss on a text (--task)");
}

void expect_data(const CalibrateOptions& options) {
  if (options.random_tokens) return;
  if (options.data.empty()) {
    throw InputError({{}, "data"}, "expected a text or JSON Lines, or --random-tokens; found none");
  }
  std::error_code error;
  if (!fs::is_regular_file(options.data, error)) {
    throw InputError({options.data, {}}, "expected a text or JSON Lines, found no such file");
  }
}

statistics::Origin origin_of(const CalibrateOptions& options, const Sequences& sequences,
                             const quantized::ModelFiles& plain, bool gram) {
  statistics::Origin origin{
      .model = options.model.model,
      .identity = identity_of(plain),
      .data = options.random_tokens ? "random tokens" : options.data.filename().string(),
      .samples = std::ssize(sequences.examples),
      .length = 0,
      .tokens = 0,
      .predictions = static_cast<std::int64_t>(std::ceil(sequences.predictions)),
      .token_weights = gram ? token_weights_of(options) : TokenWeights::even,
      .seed = options.seed};
  for (const data::Example& example : sequences.examples) {
    origin.length = std::max(origin.length, std::ssize(example.ids));
    origin.tokens += std::ssize(example.ids);
  }
  return origin;
}

// What a run that goes on must share with the one that was interrupted.
io::Json work_of(const CalibrateOptions& options, const ModelInputs& model,
                 const Sequences& sequences, TokenWeights weights, const CalibrateReport& report) {
  io::Json work = {{"model", weights_fingerprint(model.files.folder())},
                   {"adapter", adapter_fingerprint(model.files.source(), options.model)},
                   {"dtype", report.arithmetic.dtype},
                   {"matmul", report.arithmetic.matmul},
                   {"sequences", fingerprint_of(sequences.examples)},
                   {"gram", report.gram},
                   {"fisher", report.fisher},
                   {"one_pass", report.one_pass}};
  if (weights != TokenWeights::even) work["token_weights"] = options.token_weights;
  if (options.task.empty()) return work;
  work["task"] = options.task;
  const architecture::Head& head = model.files.layout().head;
  if (head.kind == architecture::HeadKind::sequence) work["labels"] = head.labels;
  return work;
}

}  // namespace

void check_calibrate(const CalibrateOptions& options) {
  check_model_options(options.model);
  const auto expect = [](bool holds, const char* option, const std::string& expected,
                         std::int64_t found) {
    if (holds) return;
    throw InputError({{}, option}, "expected " + expected + ", found " + std::to_string(found));
  };
  expect(options.samples >= 1, "samples", "at least 1", options.samples);
  expect(options.length >= 2, "length", "at least 2", options.length);
  token_weights_of(options);
  expect(options.gram_memory >= 0, "gram_memory", "at least 0", options.gram_memory);
  if (options.random_tokens && !options.data.empty()) {
    throw InputError({{}, "random_tokens"}, "expected these or data, found both");
  }
  expect_own_columns(options.task.empty() ? nullptr : &evaluate::learned_task(options.task),
                     options.columns);
  if (!options.task.empty() && options.random_tokens) {
    throw InputError({{}, "random_tokens"}, "expected none with a task");
  }
  const fs::path config = checkpoint::resolve(options.model.model) / "config.json";
  const std::int64_t longest =
      architecture::read_layout(io::read_json(config), config).max_positions;
  expect(longest == 0 || options.length <= longest, "length",
         "at most the model's " + std::to_string(longest) + " positions", options.length);
}

CalibrateReport calibrate(const CalibrateOptions& options, Progress& progress) {
  const auto begin = Clock::now();
  check_calibrate(options);
  reset_peak_resident_bytes();
  CalibrateReport report;
  report.output = options.output;
  report.gram = options.gram || !options.fisher;
  report.fisher = options.fisher || !options.gram;

  expect_output(output_of(options));
  expect_data(options);
  ModelOptions exact = options.model;
  exact.adapter_type = "f32";
  exact.output_type = "stored";
  ModelInputs model = open_model(exact, head_of(options), /*takes_source=*/true);
  report.arithmetic = model.choice.arithmetic;
  data::Omissions omissions;
  const Sequences sequences = draw_sequences(options, model, omissions, progress);
  settle_statistics(options, sequences, report, progress);
  if (!report.fisher) {  // Gram matrices are of all inputs
    omissions.left_out = 0;
    omissions.first_left_out.reset();
  }
  for (const std::string& note : omissions.notes()) progress.warn(note);
  const quantized::ModelFiles plain(model.files.folder());
  const WrittenNames written{model.files.layout().prefix, plain.layout().prefix};
  statistics::Origin origin = origin_of(options, sequences, plain, report.gram);
  const architecture::Layout layout = model.files.layout();
  if (report.gram) say_where_tokens_are_few(layout, origin.tokens, progress);
  const bool has_backward = report.fisher || origin.token_weights == TokenWeights::loss;
  report.one_pass = !sequences.next_tokens ||
                    (report.gram && has_backward &&
                     static_cast<double>(calibrate::gram_bytes(layout, origin.token_weights)) <=
                         static_cast<double>(options.gram_memory) * kMegabyte);

  OutputFolder folder(output_of(options),
                      work_of(options, model, sequences, origin.token_weights, report), progress);
  report.resumed = folder.finished();
  if (!folder.finished()) {
    checkpoint::expect_finite(model.files.source());
    LoadedModel loaded = load_model(std::move(model), progress);
    try {
      collect(loaded, sequences, written, origin, folder, report, progress);
    } catch (const ComputationError&) {
      rethrow_at_largest(weights_read(loaded.source(), options.model));
    }
  }
  folder.commit_file(kStatisticsFile);

  report.samples = origin.samples;
  report.tokens = origin.tokens;
  report.truncated_examples = omissions.truncated;
  report.left_out_examples = omissions.left_out;
  report.matrices = std::ssize(architecture::linear_layers(layout));
  std::error_code error;
  report.bytes = fs::file_size(options.output, error);
  report.seconds = seconds_since(begin);
  report.peak_memory = peak_resident_bytes();
  return report;
}

}  // namespace qloft::pipeline
