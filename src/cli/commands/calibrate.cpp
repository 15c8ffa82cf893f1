#include "qloft/pipeline/calibrate.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {
namespace {

Json to_json(const pipeline::CalibrateReport& report) {
  return {{"output", report.output.string()},
          {"samples", report.samples},
          {"tokens", report.tokens},
          {"matrices", report.matrices},
          {"gram", report.gram},
          {"fisher", report.fisher},
          {"bytes", report.bytes},
          {"fisher_seconds", report.fisher_seconds},
          {"gram_seconds", report.gram_seconds},
          {"seconds", report.seconds},
          {"peak_memory", report.peak_memory},
          {"resumed", report.resumed}};
}

std::string to_text(const pipeline::CalibrateReport& report) {
  return format_pairs({{"matrices", std::to_string(report.matrices)},
                       {"sequences", std::to_string(report.samples)},
                       {"tokens", std::to_string(report.tokens)},
                       {"size", format_bytes(static_cast<double>(report.bytes))},
                       {"peak memory", format_bytes(static_cast<double>(report.peak_memory))},
                       {"time", clock_time(report.seconds)},
                       {"written to", report.output.string()}});
}

}  // namespace

Command calibrate_command() {
  return {"calibrate", "Collect what the metrics of quantize need",
          "  qloft calibrate Llama-3.2-1B --data wiki.valid.txt -o llama.stats\n"
          "  qloft quantize Llama-3.2-1B -o q2 --method cloq --bits 2 --stats llama.stats",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::CalibrateOptions>();
            add_model_argument(app, options->model.model);
            OptionBinder bind(app);
            pipeline::visit_options(*options, bind);
            app.get_option("--data")->required();
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::calibrate(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              pipeline::visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
