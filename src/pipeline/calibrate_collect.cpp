#include "calibrate_collect.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "calibrate_sums.h"
#include "clock.h"
#include "qloft/architecture/memory.h"
#include "qloft/calibrate.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core.h"
#include "qloft/io.h"
#include "resumed_file.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
using statistics::TokenWeights;
namespace {

// Sums over the sequences so far, and how many those are.
constexpr const char* kFisherFile = "fisher.safetensors";
constexpr std::int64_t kSequencesBetweenSaves = 16;
constexpr std::int64_t kOutputMatrix = -1;  // as a block of GramSums
// Bytes of activations that may be kept for the backward pass; where it needs more, a layer's are
// made again.
constexpr double kMostActivations = 3.0 * (1 << 30);

std::span<const std::byte> bytes_of(const auto& values) {
  return std::as_bytes(std::span(values));
}

// Of the linear layers and the output matrix.
std::vector<io::TensorInfo> tensors_of(const architecture::Layout& layout,
                                       const WrittenNames& written,
                                       std::optional<TokenWeights> gram, bool fisher) {
  std::vector<io::TensorInfo> out;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& linear = layout.parameter(id);
    const std::string name = written(linear.name);
    if (gram && calibrate::gram_of(layout, id, *gram) == id) {
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

const char* label_of(const calibrate::SequenceSums& sums) {
  if (sums.fisher == nullptr) return sums.weights == nullptr ? "Gram matrices" : "token weights";
  return sums.grams == nullptr || sums.weights != nullptr ? "Fisher information"
                                                          : "Fisher information and Gram matrices";
}

// Adds all sequences, on from what an interrupted run had added.
void add_sequences(LoadedModel& loaded, const Sequences& sequences, OutputFolder& folder,
                   const calibrate::SequenceSums& sums, Progress& progress) {
  const std::vector<data::Example>& examples = sequences.examples;
  const fs::path state = folder.path() / kFisherFile;
  const std::int64_t total = std::ssize(examples);
  std::int64_t done = read_sums(state, total, loaded.model.layout(), sums);
  loaded.model.set_checkpointing(!keeps_activations(loaded.model, examples));
  progress.begin(label_of(sums), static_cast<std::uint64_t>(total), "sequences");
  if (done > 0) progress.update(static_cast<std::uint64_t>(done), "resumed");
  while (done < total) {
    if (progress.stop_requested()) {
      write_sums(state, sums, done);
      folder.keep();
      progress.end();
      throw Interrupted({}, std::to_string(done) + " of " + std::to_string(total) +
                                " sequences are finished and kept; the same command goes on from "
                                "there");
    }
    sequences.add(loaded.model, loaded.adapter, done, sums);
    progress.update(static_cast<std::uint64_t>(++done), "");
    // After the last one Gram matrices layer by layer still take long; all other results do not.
    const bool whole = sums.grams != nullptr && sums.weights == nullptr;
    if (done == total ? whole : done % kSequencesBetweenSaves != 0) continue;
    write_sums(state, sums, done);
    folder.keep();
  }
  progress.end();
  loaded.model.set_checkpointing(false);
}

// All that are there.
void collect_in_one_pass(LoadedModel& loaded, const Sequences& sequences,
                         const WrittenNames& written, OutputFolder& folder,
                         io::SafetensorsWriter& writer, const calibrate::SequenceSums& sums,
                         Progress& progress) {
  add_sequences(loaded, sequences, folder, sums, progress);
  const std::int64_t total = std::ssize(sequences.examples);
  std::int64_t tokens = 0;
  for (const data::Example& example : sequences.examples) tokens += std::ssize(example.ids);
  if (sums.grams != nullptr) {
    calibrate::finish_grams(*sums.grams, tokens, gram_sink(writer, written));
  }
  if (sums.fisher == nullptr) return;
  for (const auto& [name, factors] : *sums.fisher) {
    write_finite(writer, written(name) + ".weight.fisher_rows", root_means(factors.rows, total));
    write_finite(writer, written(name) + ".weight.fisher_columns",
                 root_means(factors.columns, total));
  }
  say_what_nothing_reached(loaded.model.layout(), *sums.fisher, progress);
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
                  const calibrate::KeptWeights* weights, OutputFolder& folder,
                  io::SafetensorsWriter& writer, Progress& progress) {
  const std::int64_t layers = loaded.model.layout().layers();
  const std::int64_t first = first_layer(folder.journal(), layers);
  std::int64_t done = first;
  try {
    calibrate::collect_gram(
        loaded.model, loaded.adapter, examples, weights, first, gram_sink(writer, {}),
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

}  // namespace

calibrate::KeptWeights collect_token_weights(LoadedModel& loaded, const Sequences& sequences,
                                             OutputFolder& folder, Progress& progress) {
  calibrate::KeptWeights out;
  add_sequences(loaded, sequences, folder, {.fisher = nullptr, .grams = nullptr, .weights = &out},
                progress);
  return out;
}

void remove_sums(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / kFisherFile, error);
  if (error) throw SystemError({folder / kFisherFile, {}}, "cannot be removed", error.value());
}

void collect(LoadedModel& loaded, const Sequences& sequences, const WrittenNames& written,
             const statistics::Origin& origin, OutputFolder& folder, CalibrateReport& report,
             Progress& progress) {
  const TokenWeights by = origin.token_weights;
  std::optional<TokenWeights> gram;
  if (report.gram) gram = by;
  io::SafetensorsWriter writer = reopen_or_create(
      folder, kStatisticsFile, tensors_of(loaded.model.layout(), written, gram, report.fisher),
      statistics::to_metadata(origin));
  report.resumed = folder.resumes();
  calibrate::Fisher fisher;
  calibrate::KeptWeights weights;
  std::optional<calibrate::GramSums> grams;
  calibrate::SequenceSums sums;
  if (report.fisher) sums.fisher = &fisher;
  const bool keeps = report.gram && !report.one_pass && by == TokenWeights::loss;
  if (keeps) {
    sums.weights = &weights;
    grams.emplace(loaded.model, kOutputMatrix, by);
  } else if (report.gram && report.one_pass) {
    grams.emplace(loaded.model, by);
  }
  if (grams) sums.grams = &*grams;
  if (report.fisher || report.one_pass || keeps) {
    const auto start = Clock::now();
    collect_in_one_pass(loaded, sequences, written, folder, writer, sums, progress);
    (report.fisher ? report.fisher_seconds : report.gram_seconds) = seconds_since(start);
  }
  if (report.gram && !report.one_pass) {
    const auto start = Clock::now();
    collect_gram(loaded, sequences.examples, keeps ? &weights : nullptr, folder, writer, progress);
    report.gram_seconds = seconds_since(start);
  }
  writer.flush();
}

}  // namespace qloft::pipeline
