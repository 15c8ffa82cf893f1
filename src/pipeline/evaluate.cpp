#include "qloft/pipeline/evaluate.h"

#include <nlohmann/json.hpp>

#include "clock.h"
#include "load.h"
#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/evaluate.h"
#include "qloft/pipeline/output.h"
#include "suspects.h"

namespace qloft::pipeline {
namespace {

// That of the answers, for tasks that write them.
void check_predictions(const EvaluateOptions& options) {
  for (const evaluate::Setting& setting : options.settings) {
    const auto* file = std::get_if<std::filesystem::path>(&setting.value);
    if (file == nullptr || file->empty() || setting.flags != "--predictions") continue;
    expect_output({.output = *file,
                   .overwrite = true,
                   .command = "evaluate",
                   .inputs = {options.data, checkpoint::resolve(options.model.model),
                              options.model.adapter, options.model.chat_template},
                   .kind = OutputRequest::Kind::file});
  }
}

evaluate::Prepared prepare(const ModelInputs& inputs, const evaluate::Task& task,
                           const evaluate::Request& request, Progress& progress) {
  const evaluate::Materials materials{inputs.files.layout(), inputs.text.tokenizer,
                                      inputs.text.chat, inputs.files.source()};
  return task.prepare(materials, request, progress);
}

}  // namespace

void check_evaluate(const EvaluateOptions& options, Progress& progress) {
  check_model_options(options.model);
  const evaluate::Task& task = evaluate::task(options.task);
  evaluate::expect_own_settings(task, options.settings);
  if (options.data.empty()) throw InputError({{}, "data"}, "expected a file, found none");
  check_predictions(options);
  const std::filesystem::path config = checkpoint::resolve(options.model.model) / "config.json";
  task.check({options.data, options.settings},
             architecture::read_layout(io::read_json(config), config).max_positions, progress);
}

void check_data(const EvaluateOptions& options, Progress& progress) {
  prepare(open_model(options.model), evaluate::task(options.task), {options.data, options.settings},
          progress);
}

EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress) {
  check_evaluate(options, progress);
  const evaluate::Task& task = evaluate::task(options.task);
  const evaluate::Request request{options.data, options.settings};

  const Interruptible interruptible(progress);
  ModelInputs inputs = open_model(options.model);
  const evaluate::Prepared data = prepare(inputs, task, request, progress);
  LoadedModel loaded = load_model(std::move(inputs), progress);
  EvaluateReport report;
  report.task = options.task;
  report.arithmetic = loaded.arithmetic;
  const auto start = Clock::now();
  const evaluate::Subject subject{loaded.model, loaded.adapter, loaded.text.tokenizer,
                                  loaded.source()};
  evaluate::expect_finite_weights(subject);
  try {
    report.scores = task.run(subject, request, data, progress);
  } catch (const ComputationError&) {
    rethrow_at_largest(weights_read(loaded.source(), options.model));
  }
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace qloft::pipeline
