#include "qloft/pipeline/finetune.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {
namespace {

Json to_json(const pipeline::FinetuneReport& report) {
  const auto& s = report.summary;
  return {{"method", report.method},
          {"output", report.output.string()},
          {"trained_parameters", report.trained_parameters},
          {"train_examples", report.train_examples},
          {"validation_examples", report.validation_examples},
          {"steps", s.steps},
          {"tokens", s.tokens},
          {"first_loss", s.first_loss},
          {"last_loss", s.last_loss},
          {"best_validation_loss",
           s.best_validation_loss ? Json(*s.best_validation_loss) : Json(nullptr)},
          {"best_step", s.best_step},
          {"stopped_early", s.stopped_early},
          {"truncated_examples", s.truncated_examples},
          {"skipped_examples", s.skipped_examples},
          {"tokens_per_second", s.tokens_per_second},
          {"seconds", report.seconds}};
}

std::string to_text(const pipeline::FinetuneReport& report) {
  const auto& s = report.summary;
  std::vector<std::pair<std::string, std::string>> lines = {
      {"trained", short_number(static_cast<double>(report.trained_parameters)) + " parameters"},
      {"steps", std::to_string(s.steps)},
      {"loss", fmt::format("{:.4f} at first, {:.4f} at last", s.first_loss, s.last_loss)}};
  if (s.best_validation_loss) {
    lines.emplace_back("validation",
                       fmt::format("{:.4f} at step {}{}", *s.best_validation_loss, s.best_step,
                                   s.stopped_early ? ", stopped early" : ""));
  }
  lines.emplace_back("speed", short_number(s.tokens_per_second) + " tokens/s");
  lines.emplace_back("time", clock_time(report.seconds));
  lines.emplace_back("written to", report.output.string());
  return format_pairs(lines);
}

}  // namespace

Command finetune_command() {
  return {"finetune", "Train an adapter, or all weights",
          "  qloft finetune q2 --data train.jsonl -o tuned --epochs 3 --lr 3e-4\n"
          "  qloft finetune Qwen3-0.6B --method lora --rank 32 --data chats.jsonl -o tuned",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::FinetuneOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--data")->required();
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::finetune(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
