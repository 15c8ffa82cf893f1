#include "qloft/pipeline/evaluate.h"

#include "clock.h"
#include "load.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/evaluate.h"
#include "qloft/pipeline/output.h"

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
                   .inputs = {options.data},
                   .kind = OutputRequest::Kind::file});
  }
}

}  // namespace

EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress) {
  check_model_options(options.model);
  const evaluate::Task& task = evaluate::task(options.task);
  if (options.data.empty()) throw InputError({{}, "data"}, "expected a file, found none");
  const evaluate::Request request{options.data, options.settings};
  task.check(request, progress);
  check_predictions(options);

  const Interruptible interruptible(progress);
  LoadedModel loaded = load_model(options.model, progress);
  EvaluateReport report;
  report.task = options.task;
  const auto start = Clock::now();
  const evaluate::Subject subject{loaded.model, loaded.adapter, loaded.text.tokenizer,
                                  loaded.text.chat, loaded.source()};
  evaluate::expect_finite_weights(subject);
  report.scores = task.run(subject, request, progress);
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace qloft::pipeline
