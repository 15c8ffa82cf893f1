#include "qloft/pipeline/evaluate.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {
namespace {

Json to_json(const pipeline::EvaluateReport& report) {
  Json json = {{"task", report.task}};
  if (report.perplexity) {
    json["nll_mean"] = report.perplexity->nll_mean;
    json["perplexity"] = report.perplexity->perplexity;
    json["tokens"] = report.perplexity->tokens;
  }
  if (report.loss) {
    json["loss"] = *report.loss;
    json["examples"] = report.examples;
  }
  if (report.accuracy) {
    json["accuracy"] = report.accuracy->accuracy;
    json["standard_error"] = report.accuracy->standard_error;
    json["correct"] = report.accuracy->correct;
    json["total"] = report.accuracy->total;
  }
  json["seconds"] = report.seconds;
  return json;
}

std::string to_text(const pipeline::EvaluateReport& report) {
  std::vector<std::pair<std::string, std::string>> lines;
  if (report.perplexity) {
    lines = {{"perplexity", fmt::format("{:.4f}", report.perplexity->perplexity)},
             {"mean loss", fmt::format("{:.6f}", report.perplexity->nll_mean)},
             {"tokens", std::to_string(report.perplexity->tokens)}};
  }
  if (report.loss) {
    lines = {{"mean loss", fmt::format("{:.6f}", *report.loss)},
             {"examples", std::to_string(report.examples)}};
  }
  if (report.accuracy) {
    lines = {{"accuracy", fmt::format("{:.2f} % +- {:.2f}", 100 * report.accuracy->accuracy,
                                      100 * report.accuracy->standard_error)},
             {"right", fmt::format("{} of {}", report.accuracy->correct, report.accuracy->total)}};
  }
  lines.emplace_back("time", clock_time(report.seconds));
  return format_pairs(lines);
}

}  // namespace

Command evaluate_command() {
  return {"evaluate", "Measure perplexity or task accuracy",
          "  qloft evaluate q2 --task perplexity --data wiki.test.txt --window 1024\n"
          "  qloft evaluate q2 --adapter tuned --task gsm8k --data test.jsonl --limit 200",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::EvaluateOptions>();
            add_model_argument(app, options->model.model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            return [options](Context& context) {
              const auto report = pipeline::evaluate(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
