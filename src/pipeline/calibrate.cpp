#include "qloft/pipeline/calibrate.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "calibrate_inputs.h"
#include "calibrate_sequences.h"
#include "calibrate_sums.h"
#include "clock.h"
#include "load.h"
#include "matrix_statistics.h"
#include "qloft/architecture/memory.h"
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
namespace {

constexpr const char* kFile = "statistics.safetensors";
// Sums over the sequences so far, and how many those are.
constexpr const char* kFisherFile = "fisher.safetensors";
constexpr std::int64_t kSequencesBetweenSaves = 16;
constexpr double kMegabyte = 1e6;
// Bytes of activations that may be kept for the backward pass; where it needs more, a layer's are
// made again.
constexpr double kMostActivations = 3.0 * (1 << 30);

std::span<const std::byte> bytes_of(const auto& values) {
  return std::as_bytes(std::span(values));
}

// A task's head gives the names of a model's parameters another beginning than the folder's own.
struct WrittenNames {
  std::string computed, written;

  std::string operator()(const std::string& name) const {
    return name.starts_with(computed) ? written + name.substr(computed.size()) : name;
  }
};

// Of the linear layers and the output matrix.
std::vector<io::TensorInfo> tensors_of(const architecture::Layout& layout,
                                       const WrittenNames& written, bool gram, bool fisher) {
  std::vector<io::TensorInfo> out;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& linear = layout.parameter(id);
    const std::string name = written(linear.name);
    if (gram && linear.input_of == id) {
      out.push_back(statistics::gram_tensor(name, linear.columns()));
    }
    if (!fisher) continue;
    out.push_back(statistics::fisher_rows_tensor(name, linear.rows()));
    out.push_back(statistics::fisher_columns_tensor(name, linear.columns()));
  }
  return out;
}

std::vector<float> root_means(const std::vector<double>& sums, std::int64_t sequences) {
  std::vector<float> out;
  out.reserve(sums.size());
  for (const double sum : sums) {
    out.push_back(static_cast<float>(std::sqrt(sum / static_cast<double>(sequences))));
  }
  return out;
}

// Statistics that are not finite are good for nothing.
void write_finite(io::SafetensorsWriter& writer, const std::string& name,
                  std::span<const float> values) {
  if (!checkpoint::all_finite(values)) {
    throw ComputationError({{}, name}, "is not finite: the model's activations are too large");
  }
  writer.write(name, bytes_of(values));
}

// Experts that no sequence reached: their factors are zeros.
void say_what_nothing_reached(const architecture::Layout& layout, const calibrate::Fisher& fisher,
                              Progress& progress) {
  const auto all = architecture::multiplied(layout);
  const auto missing = std::ranges::count_if(all, [&](architecture::ParameterId id) {
    return !fisher.contains(layout.parameter(id).module());
  });
  if (missing == 0) return;
  progress.warn(std::to_string(missing) + " of " + std::to_string(all.size()) +
                " matrices were reached by no sequence and have no Fisher factors of their own; "
                "more --samples would help");
}

// Whether what the backward pass needs of the longest sequence is kept rather than made again.
bool keeps_activations(const model::Model& model, const std::vector<data::Example>& examples) {
  architecture::TrainingShape shape;
  shape.length = 0;
  for (const data::Example& example : examples) {
    shape.length = std::max(shape.length, std::ssize(example.ids));
  }
  shape.rank = 0;
  shape.activations = model.dtype() == at::kFloat ? ElementType::f32 : ElementType::bf16;
  return architecture::adapter_training_memory(model.layout(), shape, std::nullopt).activations <=
         kMostActivations;
}

auto gram_sink(io::SafetensorsWriter& writer, const WrittenNames& written) {
  return [&writer, written](const std::string& module, std::span<const float> triangle) {
    write_finite(writer, written(module) + ".weight.gram", triangle);
  };
}

// One of both, or both.
void collect_in_one_pass(LoadedModel& loaded, const Sequences& sequences,
                         const WrittenNames& written, OutputFolder& folder,
                         io::SafetensorsWriter& writer, bool with_fisher,
                         calibrate::GramSums* grams, Progress& progress) {
  const std::vector<data::Example>& examples = sequences.examples;
  calibrate::Fisher fisher;
  const fs::path state = folder.path() / kFisherFile;
  const std::int64_t total = std::ssize(examples);
  std::int64_t done = read_sums(state, total, loaded.model.layout(), fisher, grams), tokens = 0;
  for (const data::Example& example : examples) tokens += std::ssize(example.ids);
  loaded.model.set_checkpointing(!keeps_activations(loaded.model, examples));
  progress.begin(grams == nullptr ? "Fisher information"
                 : with_fisher    ? "Fisher information and Gram matrices"
                                  : "Gram matrices",
                 static_cast<std::uint64_t>(total), "sequences");
  if (done > 0) progress.update(static_cast<std::uint64_t>(done), "resumed");
  while (done < total) {
    if (progress.stop_requested()) {
      write_sums(state, fisher, grams, done);
      folder.keep();
      progress.end();
      throw Interrupted({}, std::to_string(done) + " of " + std::to_string(total) +
                                " sequences are finished and kept; the same command goes on from "
                                "there");
    }
    sequences.add(loaded.model, loaded.adapter, done, with_fisher ? &fisher : nullptr, grams);
    progress.update(static_cast<std::uint64_t>(++done), "");
    // After the last one Gram matrices layer by layer still take long; all other results do not.
    if (done == total ? grams != nullptr : done % kSequencesBetweenSaves != 0) continue;
    write_sums(state, fisher, grams, done);
    folder.keep();
  }
  progress.end();
  loaded.model.set_checkpointing(false);
  for (const auto& [name, sums] : fisher) {
    write_finite(writer, written(name) + ".weight.fisher_rows", root_means(sums.rows, total));
    write_finite(writer, written(name) + ".weight.fisher_columns", root_means(sums.columns, total));
  }
  if (grams != nullptr) calibrate::finish_grams(*grams, tokens, gram_sink(writer, written));
  if (with_fisher) say_what_nothing_reached(loaded.model.layout(), fisher, progress);
}

// The first layer whose Gram matrices are not safely in the file.
std::int64_t first_layer(const Journal& journal, std::int64_t layers) {
  std::int64_t next = 0;
  for (const io::Json& piece : journal.pieces()) {
    const auto layer = piece.find("layer");
    if (layer == piece.end() || !layer->is_number_integer()) continue;
    if (*layer < 0 || *layer > layers) {
      throw InputError({journal.path(), "layer"},
                       "expected 0 to " + std::to_string(layers) + ", found " + layer->dump());
    }
    next = std::max(next, layer->get<std::int64_t>() + 1);
  }
  return next;
}

void collect_gram(LoadedModel& loaded, const std::vector<data::Example>& examples,
                  OutputFolder& folder, io::SafetensorsWriter& writer, Progress& progress) {
  const std::int64_t layers = loaded.model.layout().layers();
  const std::int64_t first = first_layer(folder.journal(), layers);
  std::int64_t done = first;
  try {
    calibrate::collect_gram(
        loaded.model, loaded.adapter, examples, first, gram_sink(writer, {}),
        [&](std::int64_t layer) {
          writer.flush();
          folder.journal().add({{"layer", layer}});
          folder.journal().flush();
          folder.keep();
          done = layer + 1;
        },
        progress);
  } catch (const Interrupted&) {
    throw Interrupted({}, "the Gram matrices of " + std::to_string(done) + " of " +
                              std::to_string(layers + 1) +
                              " layers are finished and kept; the same command goes on from there");
  }
}

void say_where_tokens_are_few(const architecture::Layout& layout, std::int64_t tokens,
                              Progress& progress) {
  std::int64_t widest = 0;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    widest = std::max(widest, layout.parameter(id).columns());
  }
  if (tokens >= widest) return;
  progress.warn(std::to_string(tokens) + " tokens are fewer than the " + std::to_string(widest) +
                " inputs of the widest matrix: its Gram matrix is singular and will be damped; "
                "more --samples or a greater --length would help");
}

OutputRequest output_of(const CalibrateOptions& options) {
  return {.output = options.output,
          .overwrite = options.overwrite,
          .command = "calibrate",
          .inputs = {checkpoint::resolve(options.model.model), options.data, options.model.adapter,
                     options.model.chat_template},
          .kind = OutputRequest::Kind::file};
}

// The file of the interrupted run where its header was written, else a new one.
io::SafetensorsWriter open_file(const std::vector<io::TensorInfo>& tensors,
                                const std::map<std::string, std::string>& metadata,
                                OutputFolder& folder, bool& resumed) {
  using io::SafetensorsWriter;
  const fs::path file = folder.path() / kFile;
  try {
    if (folder.resumes()) {
      SafetensorsWriter writer(file, tensors, metadata, SafetensorsWriter::Mode::reopen);
      resumed = true;
      return writer;
    }
  } catch (const InputError&) {
    folder.start_afresh();
  }
  SafetensorsWriter writer(file, tensors, metadata, SafetensorsWriter::Mode::create);
  writer.flush();
  flush_to_disk(folder.path());
  return writer;
}

void collect(LoadedModel& loaded, const Sequences& sequences, const WrittenNames& written,
             const statistics::Origin& origin, OutputFolder& folder, CalibrateReport& report,
             Progress& progress) {
  io::SafetensorsWriter writer =
      open_file(tensors_of(loaded.model.layout(), written, report.gram, report.fisher),
                statistics::to_metadata(origin), folder, report.resumed);
  if (report.fisher || report.one_pass) {
    const auto start = Clock::now();
    std::optional<calibrate::GramSums> grams;
    if (report.one_pass && report.gram) grams.emplace(loaded.model);
    collect_in_one_pass(loaded, sequences, written, folder, writer, report.fisher,
                        grams ? &*grams : nullptr, progress);
    (report.fisher ? report.fisher_seconds : report.gram_seconds) = seconds_since(start);
  }
  if (report.gram && !report.one_pass) {
    const auto start = Clock::now();
    collect_gram(loaded, sequences.examples, folder, writer, progress);
    report.gram_seconds = seconds_since(start);
  }
  writer.flush();
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

// Where there is no loss, Fisher factors must not have been asked for.
void settle_statistics(const CalibrateOptions& options, const Sequences& sequences,
                       CalibrateReport& report, Progress& progress) {
  if (sequences.has_loss || !report.fisher) return;
  if (options.fisher) {
    throw InputError({{}, "fisher"},
                     "the model has no loss on a text: expected Gram matrices (--gram) or a task "
                     "(--task)");
  }
  report.fisher = false;
  progress.note("Gram matrices only: the model has no loss on a text (--task)");
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

  std::error_code error;
  expect_output(output_of(options));
  if (!options.random_tokens && options.data.empty()) {
    throw InputError({{}, "data"}, "expected a text or JSON Lines, or --random-tokens; found none");
  }
  if (!options.random_tokens && !fs::is_regular_file(options.data, error)) {
    throw InputError({options.data, {}}, "expected a text or JSON Lines, found no such file");
  }
  ModelOptions exact = options.model;
  exact.adapter_type = "f32";
  exact.output_type = "stored";
  ModelInputs model = open_model(exact, head_of(options), /*takes_source=*/true);
  report.arithmetic = model.choice.arithmetic;
  data::Omissions omissions;
  const Sequences sequences = draw_sequences(options, model, omissions, progress);
  const std::vector<data::Example>& examples = sequences.examples;
  settle_statistics(options, sequences, report, progress);
  if (!report.fisher) {  // Gram matrices are of all inputs
    omissions.left_out = 0;
    omissions.first_left_out.reset();
  }
  for (const std::string& note : omissions.notes()) progress.warn(note);
  const quantized::ModelFiles plain(model.files.folder());
  const WrittenNames written{model.files.layout().prefix, plain.layout().prefix};
  statistics::Origin origin{
      .model = options.model.model,
      .identity = identity_of(plain),
      .data = options.random_tokens ? "random tokens" : options.data.filename().string(),
      .samples = std::ssize(examples),
      .length = 0,
      .tokens = 0,
      .predictions = static_cast<std::int64_t>(std::ceil(sequences.predictions)),
      .seed = options.seed};
  for (const data::Example& example : examples) {
    origin.length = std::max(origin.length, std::ssize(example.ids));
    origin.tokens += std::ssize(example.ids);
  }
  const architecture::Layout layout = model.files.layout();
  if (report.gram) say_where_tokens_are_few(layout, origin.tokens, progress);
  report.one_pass =
      !sequences.next_tokens || (report.gram && report.fisher &&
                                 static_cast<double>(calibrate::gram_bytes(layout)) <=
                                     static_cast<double>(options.gram_memory) * kMegabyte);

  io::Json work = {{"model", weights_fingerprint(model.files.folder())},
                   {"adapter", adapter_fingerprint(model.files.source(), options.model)},
                   {"dtype", report.arithmetic.dtype},
                   {"matmul", report.arithmetic.matmul},
                   {"sequences", fingerprint_of(examples)},
                   {"gram", report.gram},
                   {"fisher", report.fisher},
                   {"one_pass", report.one_pass}};
  if (!options.task.empty()) {
    work["task"] = options.task;
    if (model.files.layout().head.kind == architecture::HeadKind::sequence) {
      work["labels"] = model.files.layout().head.labels;
    }
  }
  OutputFolder folder(output_of(options), work, progress);
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
  folder.commit_file(kFile);

  report.samples = origin.samples;
  report.tokens = origin.tokens;
  report.truncated_examples = omissions.truncated;
  report.left_out_examples = omissions.left_out;
  report.matrices = std::ssize(architecture::linear_layers(layout));
  report.bytes = fs::file_size(options.output, error);
  report.seconds = seconds_since(begin);
  report.peak_memory = peak_resident_bytes();
  return report;
}

}  // namespace qloft::pipeline
