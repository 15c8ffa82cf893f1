#include "qloft/pipeline/evaluate.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "clock.h"
#include "load.h"
#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/core/text.h"
#include "qloft/evaluate.h"
#include "qloft/pipeline/output.h"
#include "suspects.h"
#include "task_head.h"

namespace qloft::pipeline {
namespace {

// What a task writes beside its scores.
constexpr std::array kWritten = {"--predictions", "--nbest", "--null-odds"};

void check_written(const EvaluateOptions& options) {
  std::vector<std::filesystem::path> written;
  for (const evaluate::Setting& setting : options.settings) {
    const auto* file = std::get_if<std::filesystem::path>(&setting.value);
    if (file == nullptr || file->empty()) continue;
    if (std::ranges::find(kWritten, setting.flags) == kWritten.end()) continue;
    expect_output({.output = *file,
                   .overwrite = true,
                   .command = "evaluate",
                   .inputs = {options.data, checkpoint::resolve(options.model.model),
                              options.model.adapter, options.model.chat_template},
                   .kind = OutputRequest::Kind::file});
    const auto name = file->lexically_normal();
    if (std::ranges::find(written, name) != written.end()) {
      throw InputError(
          {{}, option_name(setting.flags)},
          "expected another file than the others that are written, found " + file->string());
    }
    written.push_back(name);
  }
}

bool asks_for_cache(const EvaluateOptions& options) {
  return options.model.cache_type != ModelOptions().cache_type;
}

void check_cache_type(const evaluate::Task& task, const EvaluateOptions& options) {
  if (task.caches != evaluate::Caches::none || !asks_for_cache(options)) return;
  std::vector<std::string_view> others;
  for (const evaluate::Task& other : evaluate::tasks()) {
    if (other.caches != evaluate::Caches::none) others.push_back(other.name);
  }
  throw InputError({{}, "cache_type"}, "expected it with the task " + alternatives(others) +
                                           ", found it with " + task.name);
}

// A score is that of the factors and the output matrix as they are, but where text is generated as
// generate does it.
ModelOptions model_of(const evaluate::Task& task, const EvaluateOptions& options) {
  ModelOptions model = options.model;
  if (task.caches == evaluate::Caches::always) return model;
  const ModelOptions defaults;
  if (model.adapter_type == defaults.adapter_type) model.adapter_type = "f32";
  if (model.output_type == defaults.output_type) model.output_type = "stored";
  return model;
}

evaluate::Prepared prepare(const ModelInputs& inputs, const evaluate::Task& task,
                           const evaluate::Request& request, Progress& progress) {
  const evaluate::Materials materials{inputs.files.layout(), inputs.text.tokenizer,
                                      inputs.text.chat, inputs.files.source()};
  return task.prepare(materials, request, progress);
}

// The second model of a task that has one, computed as the first.
std::optional<ModelInputs> open_teacher(const evaluate::Task& task, const EvaluateOptions& options,
                                        const ModelInputs& model) {
  if (task.teacher.empty()) return std::nullopt;
  const auto& setting = evaluate::setting(options.settings, task.teacher);
  ModelOptions of_teacher;
  of_teacher.model = std::get<std::filesystem::path>(setting.value).string();
  of_teacher.device = options.model.device;
  of_teacher.dtype = model.choice.arithmetic.dtype;
  of_teacher.matmul = model.choice.arithmetic.matmul;
  of_teacher.adapter_type = "f32";
  of_teacher.output_type = "stored";
  ModelInputs teacher = open_model(of_teacher);
  const std::int64_t its = teacher.files.layout().vocabulary_size;
  const std::int64_t own = model.files.layout().vocabulary_size;
  if (its != own) {
    throw InputError({teacher.files.folder() / "config.json", "vocab_size"},
                     "expected " + std::to_string(own) + ", that of " +
                         model.files.folder().string() + ", found " + std::to_string(its));
  }
  return teacher;
}

std::optional<architecture::HeadRequest> head_to_evaluate(const evaluate::Task& task,
                                                          const EvaluateOptions& options) {
  const checkpoint::Checkpoint source(checkpoint::resolve(options.model.model));
  return head_for(task, options.settings, source.folder(), adapter_folder(source, options.model),
                  {});
}

// A head that is made anew says nothing before it is trained.
void expect_trained_head(const ModelInputs& inputs) {
  const auto name = untrained_head(inputs.files, inputs.adapter);
  if (!name) return;
  throw InputError({inputs.files.folder(), *name},
                   "neither the model nor an adapter has this part of a head for the task: "
                   "fine-tune it first");
}

}  // namespace

bool can_be_evaluated(const EvaluateOptions& options) {
  const evaluate::Task& task = evaluate::task(options.task);
  if (!task.needs_head()) return true;
  const ModelInputs inputs = open_model(options.model, head_to_evaluate(task, options));
  return !untrained_head(inputs.files, inputs.adapter);
}

data::NamedColumns named_columns(const EvaluateOptions& options,
                                 const std::vector<std::filesystem::path>& learned) {
  const evaluate::Task& task = evaluate::task(options.task);
  const auto list = [&](const char* name) {
    return std::get<std::vector<std::string>>(evaluate::setting(options.settings, name).value);
  };
  data::NamedColumns columns{list("text_column"), {}, {}};
  columns.label = std::get<std::string>(evaluate::setting(options.settings, "label_column").value);
  const checkpoint::Checkpoint source(checkpoint::resolve(options.model.model));
  const auto head = head_for(task, options.settings, source.folder(),
                             adapter_folder(source, options.model), learned);
  if (head && head->problem == architecture::Problem::single_label) columns.labels = head->labels;
  return columns;
}

void check_evaluate(const EvaluateOptions& options, Progress& progress) {
  check_model_options(options.model);
  const evaluate::Task& task = evaluate::task(options.task);
  evaluate::expect_own_settings(task, options.settings);
  check_cache_type(task, options);
  if (options.data.empty()) throw InputError({{}, "data"}, "expected a file, found none");
  check_written(options);
  const std::filesystem::path config = checkpoint::resolve(options.model.model) / "config.json";
  task.check({options.data, options.settings},
             architecture::read_layout(io::read_json(config), config).max_positions, progress);
}

void check_data(const EvaluateOptions& options, Progress& progress) {
  const evaluate::Task& task = evaluate::task(options.task);
  prepare(open_model(options.model, head_to_evaluate(task, options)), task,
          {options.data, options.settings}, progress);
}

EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress) {
  check_evaluate(options, progress);
  const evaluate::Task& task = evaluate::task(options.task);
  const evaluate::Request request{options.data, options.settings};

  const Interruptible interruptible(progress);
  ModelInputs inputs = open_model(model_of(task, options), head_to_evaluate(task, options));
  if (task.needs_head()) expect_trained_head(inputs);
  const evaluate::Prepared data = prepare(inputs, task, request, progress);
  std::optional<ModelInputs> teacher_inputs = open_teacher(task, options, inputs);
  LoadedModel loaded = load_model(std::move(inputs), progress);
  std::optional<LoadedModel> teacher;
  if (teacher_inputs) teacher = load_model(std::move(*teacher_inputs), progress);
  EvaluateReport report;
  report.task = options.task;
  report.arithmetic = loaded.arithmetic;
  if (loaded.adapter == model::kNoAdapter) report.arithmetic.adapter_type.clear();
  report.cached = task.caches == evaluate::Caches::always ||
                  task.caches == evaluate::Caches::scoring ||
                  (task.caches == evaluate::Caches::where_asked_for && asks_for_cache(options));
  const auto start = Clock::now();
  evaluate::Subject subject{loaded.model, loaded.adapter, loaded.text.tokenizer, loaded.source(),
                            report.cached};
  evaluate::expect_finite_weights(subject);
  if (teacher) {
    evaluate::expect_finite_weights(
        {teacher->model, teacher->adapter, teacher->text.tokenizer, teacher->source()});
    subject.teacher = &teacher->model;
    subject.teacher_adapter = teacher->adapter;
  }
  try {
    report.scores = task.run(subject, request, data, progress);
  } catch (const ComputationError&) {
    rethrow_at_largest(weights_read(loaded.source(), options.model));
  }
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace qloft::pipeline
