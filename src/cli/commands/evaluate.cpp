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
  for (const evaluate::ScoreInfo& info : evaluate::task(report.task).scores) {
    const auto value = report.scores.find(info.key);
    if (!value) continue;
    json[info.key] =
        info.unit == evaluate::Unit::count ? Json(static_cast<std::int64_t>(*value)) : Json(*value);
  }
  json["dtype"] = report.arithmetic.dtype;
  json["matmul"] = report.arithmetic.matmul;
  if (!report.arithmetic.adapter_type.empty()) {
    json["adapter_type"] = report.arithmetic.adapter_type;
  }
  json["output_type"] = report.arithmetic.output_type;
  if (report.cached) json["cache_type"] = report.arithmetic.cache_type;
  json["seconds"] = report.seconds;
  return json;
}

// "5.8125", "12.00 % +- 1.00", "3 of 25"
std::string shown(const evaluate::ScoreInfo& info, const evaluate::Scores& scores) {
  const double value = scores.find(info.key).value_or(0);
  const double error = scores.find(info.error).value_or(0);
  switch (info.unit) {
    case evaluate::Unit::count: {
      const auto whole = scores.find(info.whole);
      return fmt::format("{:.0f}", value) + (whole ? fmt::format(" of {:.0f}", *whole) : "");
    }
    case evaluate::Unit::share:
      return fmt::format("{:.{}f} %", 100 * value, info.decimals) +
             (info.error.empty() ? "" : fmt::format(" +- {:.{}f}", 100 * error, info.decimals));
    case evaluate::Unit::number:
      break;
  }
  return fmt::format("{:.{}f}", value, info.decimals) +
         (info.error.empty() ? "" : fmt::format(" +- {:.{}f}", error, info.decimals));
}

std::string to_text(const pipeline::EvaluateReport& report) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const evaluate::ScoreInfo& info : evaluate::task(report.task).scores) {
    if (!info.label.empty() && report.scores.find(info.key))
      lines.emplace_back(info.label, shown(info, report.scores));
  }
  lines.emplace_back("time", clock_time(report.seconds));
  return format_pairs(lines);
}

}  // namespace

Command evaluate_command() {
  return {"evaluate", "Measure perplexity or task accuracy",
          "  qloft evaluate q2 --task perplexity --data wiki.test.txt --window 1024\n"
          "  qloft evaluate q2 --adapter tuned --task gsm8k --data test.jsonl --limit 200\n"
          "  qloft evaluate BERT --adapter stars --task classification --text-column review "
          "--label-column stars --data dev.csv\n"
          "  qloft evaluate q2 --task mmlu --data mmlu --limit 20",
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
