#include "compare/row.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compare/shared.h"
#include "qloft/architecture.h"
#include "qloft/architecture/memory.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "quantize_plan.h"

namespace qloft::pipeline::comparison {
namespace fs = std::filesystem;
namespace {

using io::Json;

// Rows of another version are made anew: raise it where the same options come to mean another run.
constexpr int kVersion = 1;

template <typename Options>
Json echo(const std::optional<Options>& options) {
  if (!options) return nullptr;
  Json json = Json::object();
  Options copy = *options;
  io::OptionEcho writer(json);
  visit_options(copy, writer);
  return json;
}

// What a method's name stands for: a preset that changes makes its rows anew.
Json preset_key(const std::optional<QuantizeOptions>& options) {
  if (!options) return nullptr;
  const decompose::Preset& preset = decompose::preset(options->method);
  return {{"format", preset.format.describe()},
          {"metric", decompose::name(preset.metric)},
          {"parts", {preset.quantizer, preset.low_rank, preset.loop}},
          {"iterations", preset.iterations},
          {"damping", preset.damping},
          {"adapter_weight", preset.adapter_weight}};
}

// Bits of a stored weight of the linear layers, in full precision.
double stored_bits(const checkpoint::Checkpoint& source, const model::Architecture& architecture) {
  double bits = 0, weights = 0;
  for (const auto& layer : model::linear_layers(architecture)) {
    const auto size = static_cast<double>(layer.out) * static_cast<double>(layer.in);
    bits += 8 * size * static_cast<double>(byte_size(source.info(layer.name + ".weight").type));
    weights += size;
  }
  return weights > 0 ? bits / weights : 0;
}

std::uint64_t safetensors_bytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

CompareRow::Memory training_memory(const checkpoint::Checkpoint& source,
                                   const model::Architecture& architecture,
                                   const FinetuneOptions& tune, const CompareRow& row) {
  model::TrainingShape shape;
  shape.rows = tune.train.batch;
  shape.length = tune.train.length;
  if (architecture.max_positions > 0)
    shape.length = std::min(shape.length, architecture.max_positions);
  shape.rank = row.rank;
  shape.checkpointing = tune.train.checkpointing;
  shape.activations = tune.dtype == "bf16" ? ElementType::bf16 : ElementType::f32;
  shape.weights = source.info("model.embed_tokens.weight").type;
  std::optional<std::function<double(std::int64_t, std::int64_t)>> bits;
  if (row.relative_error) {
    bits = [stored = row.bits_per_weight](std::int64_t, std::int64_t) { return stored; };
  }
  const model::TrainingMemory memory =
      tune.method == "full" ? model::full_training_memory(architecture, shape)
                            : model::adapter_training_memory(architecture, shape, bits);
  return {memory.weights, memory.gradients, memory.optimizer, memory.activations};
}

// `adapter`: a folder; empty: the one inside, if any.
CompareScores measure(const Tasks& tasks, const CompareOptions& options, const fs::path& model,
                      const fs::path& adapter, Progress& progress) {
  const auto run = [&](EvaluateOptions task, const fs::path& data) {
    task.model.model = model.string();
    task.model.adapter = adapter.string();
    task.data = data;
    if (task.few_shot > 0) task.few_shot_data = options.train;
    return evaluate(task, progress);
  };
  CompareScores scores;
  if (tasks.perplexity) {
    scores.perplexity = run(*tasks.perplexity, options.text).perplexity->perplexity;
  }
  if (tasks.answers) scores.loss = run(*tasks.answers, options.test).loss;
  if (tasks.problems) {
    const auto accuracy = *run(*tasks.problems, options.test).accuracy;
    scores.accuracy = accuracy.accuracy;
    scores.standard_error = accuracy.standard_error;
  }
  return scores;
}

void take(QuantizeReport report, const QuantizeOptions& options, CompareRow& row) {
  row.method = options.method;
  row.format = report.format;
  row.rank = options.rank;
  row.bits_per_weight = report.bits_per_weight;
  row.relative_error = report.relative_error;
  row.quantize_seconds = report.seconds;
  row.quantize_peak_memory = report.peak_memory;
  std::size_t longest = 0;
  for (QuantizedMatrix& matrix : report.matrices) {
    longest = std::max(longest, matrix.relative_error.size());
    row.matrices.push_back({matrix.name, matrix.bits_per_weight, std::move(matrix.relative_error)});
  }
  if (decompose::preset(options.method).loop != decompose::Loop::once) {
    row.iterations = options.iterations.value_or(static_cast<int>(longest));
  }
}

const fs::path& tuning_data(const RowPlan& row, const CompareOptions& options) {
  return row.tune_data == "train" ? options.train : options.calibration;
}

QuantizeOptions quantize_options(const RowPlan& row, const CompareOptions& options,
                                 const fs::path& output) {
  QuantizeOptions quantize = *row.quantize;
  quantize.model = options.model;
  quantize.output = output;
  quantize.overwrite = true;
  return quantize;
}

}  // namespace

Json row_key(const RowPlan& row, const Tasks& tasks, const CompareOptions& options) {
  Json key;
  key["version"] = kVersion;
  key["quantize"] = echo(row.quantize);
  key["preset"] = preset_key(row.quantize);
  key["tune"] = echo(row.tune);
  key["plan"] = plan_key(row, options);
  key["statistics"] = statistics_key(row, options);
  key["tasks"] = {{"perplexity", echo(tasks.perplexity)},
                  {"answers", echo(tasks.answers)},
                  {"problems", echo(tasks.problems)}};
  key["model"] = folder_identity(checkpoint::resolve(options.model));
  if (tasks.perplexity) key["text"] = file_identity(options.text);
  if (tasks.answers || tasks.problems) key["test"] = file_identity(options.test);
  const bool few_shot = tasks.problems && tasks.problems->few_shot > 0;
  if (few_shot) key["train"] = file_identity(options.train);
  if (row.tune) key["tuned_on"] = file_identity(tuning_data(row, options));
  return key;
}

void check_row(const RowPlan& row, const CompareOptions& options) {
  try {
    if (row.quantize) {
      const checkpoint::Checkpoint source(checkpoint::resolve(options.model));
      QuantizeOptions quantize = quantize_options(row, options, "output");
      // Its statistics are not made yet: the rest is looked at without them.
      const bool known = !quantize.metric || decompose::metric_from_name(*quantize.metric);
      if (row.calibrate && known) quantize.metric = "frobenius";
      plan_quantize(quantize, source);
    }
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".quantize"}, error.what());
  }
  try {
    if (row.tune) row.tune->train.validate();
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".tune"}, error.what());
  }
}

CompareRow run_row(const RowPlan& plan, const Tasks& tasks, const CompareOptions& options,
                   Progress& progress) {
  const fs::path model = checkpoint::resolve(options.model);
  const checkpoint::Checkpoint source(model);
  const auto architecture = model::parse_architecture(source.config(), model / "config.json");
  const fs::path work = options.output / "work" / plan.slug;
  fs::create_directories(work);

  CompareRow row;
  row.name = plan.name;
  row.group = plan.group;
  fs::path base = model;
  if (plan.quantize) {
    base = work / "quantized";
    QuantizeOptions quantization = quantize_options(plan, options, base);
    if (plan.calibrate) quantization.stats = shared_statistics(plan, options, progress);
    if (plan.plan) quantization.plan = shared_plan(plan, options, progress);
    take(quantize(quantization, progress), *plan.quantize, row);
  } else {
    row.method = plan.tune ? plan.tune->method : "none";
    row.rank = row.method == "lora" ? plan.tune->rank.value_or(16) : 0;
    row.bits_per_weight = stored_bits(source, architecture);
  }
  row.bytes = safetensors_bytes(base);
  row.before = measure(tasks, options, base, {}, progress);

  if (plan.tune) {
    FinetuneOptions tune = *plan.tune;
    tune.model = base.string();
    tune.data = {tuning_data(plan, options)};
    tune.output = work / "tuned";
    tune.overwrite = true;
    if (plan.quantize && row.rank > 0 && !tune.fresh) tune.rank.reset();
    const FinetuneReport report = finetune(tune, progress);
    row.tune_seconds = report.seconds;
    row.tune_steps = report.summary.steps;
    if (plan.quantize && (tune.fresh || row.rank == 0)) row.rank = tune.rank.value_or(16);
    row.memory = training_memory(source, architecture, tune, row);
    const bool full = tune.method == "full";
    row.after = measure(tasks, options, full ? tune.output : base, full ? fs::path() : tune.output,
                        progress);
  }
  return row;
}

}  // namespace qloft::pipeline::comparison
