#include "row.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/architecture/memory.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/decompose.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized.h"
#include "qloft/quantized/model_files.h"
#include "shared.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

// Rows of another version are made anew: raise it where the same options come to mean another run.
constexpr int kVersion = 1;

template <typename StageOptions>
Json echo(const std::optional<StageOptions>& options) {
  if (!options) return nullptr;
  Json json = Json::object();
  StageOptions copy = *options;
  io::OptionEcho writer(json);
  visit_options(copy, writer);
  return pipeline::by_contents(std::move(json));
}

// What a method's name stands for: a preset that changes makes its rows anew.
Json preset_key(const std::optional<pipeline::QuantizeOptions>& options) {
  if (!options) return nullptr;
  const decompose::Preset preset = pipeline::preset_of(*options);
  return {{"format", preset.format.describe()},
          {"metric", decompose::name(preset.metric)},
          {"parts", {preset.quantizer, preset.low_rank, preset.loop}},
          {"iterations", preset.iterations},
          {"damping", preset.damping},
          {"adapter_weight", preset.adapter_weight},
          {"low_rank_start", preset.low_rank_start}};
}

// The linear layers in full precision.
struct StoredWeights {
  double count = 0;
  double bits_per_weight = 0;
};
StoredWeights stored_weights(const quantized::ModelFiles& files) {
  double bits = 0, weights = 0;
  for (const architecture::ParameterId id : architecture::linear_layers(files.layout())) {
    const auto size = static_cast<double>(files.layout().parameter(id).elements());
    bits += 8 * size * static_cast<double>(byte_size(files.type(id)));
    weights += size;
  }
  return {weights, weights > 0 ? bits / weights : 0};
}

// Bits of the folder's adapter over so many weights.
double adapter_bits(const fs::path& folder, const quantized::ModelFiles& files, double weights) {
  double bytes = 0;
  for (const auto& [module, own] : adapter::stored_bytes(folder, files.layout())) bytes += own;
  return weights > 0 ? 8 * bytes / weights : 0;
}

std::uint64_t safetensors_bytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

architecture::TrainingMemory training_memory(const quantized::ModelFiles& files,
                                             const pipeline::FinetuneOptions& tune,
                                             const Row& row) {
  architecture::TrainingShape shape;
  shape.rows = tune.train.batch;
  shape.length = tune.train.length;
  const architecture::Layout& layout = files.layout();
  if (layout.max_positions > 0) shape.length = std::min(shape.length, layout.max_positions);
  shape.rank = row.rank;
  shape.checkpointing = tune.train.checkpointing;
  shape.activations = tune.dtype == "bf16" ? ElementType::bf16 : ElementType::f32;
  shape.weights = files.type(layout.embedding.tokens);
  std::optional<std::function<double(std::int64_t, std::int64_t)>> bits;
  if (row.relative_error) {
    bits = [stored = row.bits_per_weight](std::int64_t, std::int64_t) { return stored; };
  }
  return tune.method == "full" ? architecture::full_training_memory(layout, shape)
                               : architecture::adapter_training_memory(layout, shape, bits);
}

pipeline::EvaluateOptions evaluate_options(const TaskSpec& spec, const Options& options,
                                           const fs::path& model) {
  pipeline::EvaluateOptions task = spec.options;
  task.model.model = model.string();
  task.data = data_of(spec, options);
  if (spec.needs_examples()) {
    evaluate::set(task.settings, spec.task->example_file, options.train);
  }
  if (!spec.task->teacher.empty()) {
    evaluate::set(task.settings, spec.task->teacher, fs::path(options.model));
  }
  return task;
}

// `adapter`: a folder; empty: the one inside, if any.
evaluate::Scores measure(const std::vector<TaskSpec>& tasks, const Options& options,
                         const fs::path& model, const fs::path& adapter, Progress& progress) {
  evaluate::Scores scores;
  for (const TaskSpec& spec : tasks) {
    pipeline::EvaluateOptions task = evaluate_options(spec, options, model);
    task.model.adapter = adapter.string();
    // Before it is tuned a model has no head for the task.
    if (!pipeline::can_be_evaluated(task)) continue;
    const evaluate::Scores found = pipeline::evaluate(task, progress).scores;
    for (const evaluate::ScoreInfo& info : spec.task->scores) {
      if (!info.compared) continue;
      for (const std::string& key : {info.key, info.error}) {
        if (const auto value = found.find(key)) scores.set(key, *value);
      }
    }
  }
  return scores;
}

void take(pipeline::QuantizeReport report, const pipeline::QuantizeOptions& options, Row& row) {
  row.method = options.method;
  row.format = report.format;
  row.rank = report.rank;
  row.bits_per_weight = report.bits_per_weight;
  row.total_bits_per_weight = report.total_bits_per_weight;
  row.relative_error = report.relative_error;
  row.quantize_seconds = report.seconds;
  row.quantize_peak_memory = report.peak_memory;
  std::size_t longest = 0;
  for (pipeline::QuantizedMatrix& matrix : report.matrices) {
    longest = std::max(longest, matrix.relative_error.size());
    row.matrices.push_back(
        {matrix.name, matrix.layer, matrix.bits_per_weight, std::move(matrix.relative_error)});
  }
  if (decompose::preset(options.method).loop != decompose::Loop::once) {
    row.iterations = options.iterations.value_or(static_cast<int>(longest));
  }
}

// Of the folder `quantized`; what the teacher says is shared by the rows.
pipeline::RecoverOptions recover_options(const RowSpec& row, const Options& options,
                                         const fs::path& quantized, const fs::path& output) {
  pipeline::RecoverOptions recover = *row.recover;
  recover.model = quantized.string();
  recover.teacher = options.model;
  recover.data = data_set(row.recover_data, options);
  recover.output = output;
  recover.overwrite = true;
  recover.cache = options.output / "shared";
  return recover;
}

pipeline::QuantizeOptions quantize_options(const RowSpec& row, const Options& options,
                                           const fs::path& output) {
  pipeline::QuantizeOptions quantize = *row.quantize;
  quantize.model = options.model;
  quantize.output = output;
  quantize.overwrite = true;
  if (row.calibrate && pipeline::is_sequential(quantize)) {
    quantize.random_tokens = row.calibrate->random_tokens;
    if (!quantize.random_tokens) quantize.data = data_set(row.calibrate_data, options);
    quantize.samples = row.calibrate->samples;
    quantize.length = row.calibrate->length;
    quantize.token_weights = row.calibrate->token_weights;
  }
  return quantize;
}

// `own`: of the quantized folder that is tuned.
void check_adapter(const pipeline::FinetuneOptions& tune, const adapter::Config* own,
                   const Options& options) {
  if (tune.method != "lora") return;
  const fs::path config = checkpoint::resolve(options.model) / "config.json";
  if (own == nullptr || own->rank == 0 || tune.fresh) {
    pipeline::check_fresh_adapter(architecture::read_layout(io::read_json(config), config), tune);
  } else {
    pipeline::expect_as_continued(*own, tune, {});
  }
}

}  // namespace

void check_task(const TaskSpec& spec, const Options& options) {
  Progress silent;  // what is warned of is said where it is evaluated
  try {
    pipeline::check_evaluate(evaluate_options(spec, options, options.model), silent);
  } catch (const InputError& error) {
    if (!error.location().file.empty()) throw;
    throw InputError({options.recipe, "tasks." + spec.task->in_recipe}, error.what());
  }
}

void check_task_data(const TaskSpec& spec, const Options& options) {
  Progress silent;
  pipeline::check_data(evaluate_options(spec, options, options.model), silent);
}

void check_tuning_data(const RowSpec& row, const Options& options) {
  Progress silent;
  pipeline::FinetuneOptions tune = *row.tune;
  tune.model = options.model;
  tune.data = {data_set(row.tune_data, options)};
  pipeline::check_training_data(tune, silent);
}

const fs::path& data_of(const TaskSpec& spec, const Options& options) {
  switch (spec.task->data_set) {
    case evaluate::DataSet::text:
      return options.text;
    case evaluate::DataSet::choices:
      return options.choices;
    case evaluate::DataSet::rows:
    case evaluate::DataSet::labels:
      break;
  }
  return options.test;
}

Json row_key(const RowSpec& row, const std::vector<TaskSpec>& tasks, const Inputs& inputs) {
  Json key;
  key["version"] = kVersion;
  key["quantize"] = echo(row.quantize);
  key["preset"] = preset_key(row.quantize);
  key["tune"] = echo(row.tune);
  key["plan"] = plan_key(row, inputs);
  key["statistics"] = statistics_key(row, inputs);
  key["model"] = inputs.model;
  // A row without it is the same as before there was any.
  if (row.recover) {
    key["recover"] = echo(row.recover);
    key["recovered_on"] = data_set(row.recover_data, inputs);
  }
  key["tasks"] = Json::object();
  for (const TaskSpec& spec : tasks) {
    Json& task = key["tasks"][spec.task->in_recipe];
    task["options"] = echo(std::optional(spec.options));
    task["data"] = spec.task->data_set == evaluate::DataSet::text      ? inputs.text
                   : spec.task->data_set == evaluate::DataSet::choices ? inputs.choices
                                                                       : inputs.test;
    if (spec.needs_examples()) task["examples"] = inputs.train;
  }
  if (row.tune) key["tuned_on"] = data_set(row.tune_data, inputs);
  return key;
}

void check_row(const RowSpec& row, const Options& options) {
  adapter::Config own;
  try {
    if (row.quantize) {
      pipeline::QuantizeOptions quantize = quantize_options(row, options, "output");
      if (row.plan) quantize.target_modules = row.plan->target_modules;
      // Its statistics are not made yet: the rest is looked at without them.
      const bool known = !quantize.metric || decompose::metric_from_name(*quantize.metric);
      const bool has_statistics = row.calibrate && !pipeline::is_sequential(quantize);
      if (has_statistics && known) quantize.metric = "frobenius";
      own = pipeline::check_quantize(quantize);
    }
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".quantize"}, error.what());
  }
  try {
    if (row.recover) {
      pipeline::check_recover(recover_options(row, options, options.model, "output"));
    }
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".recover"}, error.what());
  }
  try {
    if (row.tune) {
      pipeline::FinetuneOptions tune = *row.tune;
      tune.data = {data_set(row.tune_data, options)};
      pipeline::check_finetune(tune);
      check_adapter(tune, row.quantize ? &own : nullptr, options);
    }
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".tune"}, error.what());
  }
  try {
    if (row.calibrate) {
      pipeline::CalibrateOptions calibration = *row.calibrate;
      calibration.model.model = options.model;
      pipeline::check_calibrate(calibration);
    }
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".calibrate"}, error.what());
  }
  std::vector<quant::Format> formats;
  for (std::size_t i = 0; row.plan_candidates.is_array() && i < row.plan_candidates.size(); ++i) {
    formats.push_back(
        quantized::format_from_json(row.plan_candidates[i], options.recipe,
                                    row.field + ".plan.candidates[" + std::to_string(i) + "]"));
  }
  try {
    if (!row.plan) return;
    pipeline::PlanOptions plan = *row.plan;
    plan.model = options.model;
    pipeline::check_plan(plan, formats);
  } catch (const InputError& error) {
    throw InputError({options.recipe, row.field + ".plan"}, error.what());
  }
}

fs::path work_folder(const RowSpec& row, const Options& options) {
  return options.output / "work" / row.slug;
}

Row run_row(const RowSpec& plan, const std::vector<TaskSpec>& tasks, const Options& options,
            const Inputs& inputs, Progress& progress) {
  const fs::path model = checkpoint::resolve(options.model);
  const quantized::ModelFiles files(model);
  const fs::path work = work_folder(plan, options);
  make_folders(work);

  Row row;
  row.name = plan.name;
  row.group = plan.group;
  fs::path base = model;
  double weights = 0;  // that bits are counted over
  if (plan.quantize) {
    base = work / "quantized";
    pipeline::QuantizeOptions quantization = quantize_options(plan, options, base);
    if (plan.calibrate && !pipeline::is_sequential(quantization)) {
      quantization.stats = shared_statistics(plan, options, inputs, progress);
    }
    if (plan.plan) quantization.plan = shared_plan(plan, options, inputs, progress);
    const pipeline::QuantizeReport report = pipeline::quantize(quantization, progress);
    for (const pipeline::QuantizedMatrix& matrix : report.matrices) {
      weights += static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
    }
    take(report, *plan.quantize, row);
  } else {
    row.method = plan.tune ? plan.tune->method : "none";
    row.rank = row.method == "lora" ? plan.tune->rank.value_or(16) : 0;
    const StoredWeights stored = stored_weights(files);
    weights = stored.count;
    row.bits_per_weight = stored.bits_per_weight;
    row.total_bits_per_weight = row.bits_per_weight;
  }
  row.bytes = safetensors_bytes(base);
  row.before = measure(tasks, options, base, {}, progress);

  if (plan.recover) {
    const auto recovery = recover_options(plan, options, base, work / "recovered");
    make_folders(recovery.cache);
    const pipeline::RecoverReport report = pipeline::recover(recovery, progress);
    row.recover_seconds = report.seconds;
    row.recover_steps = report.summary.steps;
    base = recovery.output;
    row.recovered = measure(tasks, options, base, {}, progress);
  }
  if (plan.tune) {
    pipeline::FinetuneOptions tune = *plan.tune;
    tune.model = base.string();
    tune.data = {data_set(plan.tune_data, options)};
    tune.output = work / "tuned";
    tune.overwrite = true;
    if (plan.quantize && row.rank > 0 && !tune.fresh) tune.rank.reset();
    const pipeline::FinetuneReport report = pipeline::finetune(tune, progress);
    row.tune_seconds = report.seconds;
    row.tune_steps = report.summary.steps;
    if (plan.quantize && (tune.fresh || row.rank == 0)) row.rank = tune.rank.value_or(16);
    row.memory = training_memory(files, tune, row);
    const bool full = tune.method == "full";
    if (!full) {
      row.tuned_total_bits_per_weight =
          row.bits_per_weight + adapter_bits(tune.output, files, weights);
      if (!plan.quantize) row.total_bits_per_weight = row.tuned_total_bits_per_weight;
    }
    row.after = measure(tasks, options, full ? tune.output : base, full ? fs::path() : tune.output,
                        progress);
  }
  return row;
}

}  // namespace qloft::compare
