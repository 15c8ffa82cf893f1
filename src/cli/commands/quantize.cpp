#include "qloft/pipeline/quantize.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {
namespace {

Json to_json(const pipeline::QuantizeReport& report) {
  Json json = {{"output", report.output.string()},
               {"format", report.format},
               {"bits_per_weight", report.bits_per_weight},
               {"relative_error", report.relative_error},
               {"metric", report.metric},
               {"metric_error", report.metric_error},
               {"seconds", report.seconds},
               {"peak_memory", report.peak_memory},
               {"resumed", report.resumed}};
  json["matrices"] = Json::array();
  for (const auto& m : report.matrices) {
    json["matrices"].push_back({{"name", m.name},
                                {"rows", m.rows},
                                {"columns", m.columns},
                                {"format", m.format},
                                {"bits_per_weight", m.bits_per_weight},
                                {"relative_error", m.relative_error},
                                {"metric_error", m.metric_error},
                                {"svd_residual", m.svd_residual},
                                {"seconds", m.seconds}});
  }
  return json;
}

std::string to_text(const pipeline::QuantizeReport& report) {
  std::vector<std::pair<std::string, std::string>> lines = {
      {"matrices", std::to_string(report.matrices.size())},
      {"format", report.format},
      {"bits per weight", fmt::format("{:.3f}", report.bits_per_weight)},
      {"mean error", fmt::format("{:.4f}", report.relative_error)}};
  if (report.metric != "frobenius") {
    lines.emplace_back("by " + report.metric, fmt::format("{:.4f}", report.metric_error));
  }
  lines.emplace_back("peak memory", format_bytes(static_cast<double>(report.peak_memory)));
  lines.emplace_back("time", clock_time(report.seconds));
  lines.emplace_back("written to", report.output.string());
  return format_pairs(lines);
}

}  // namespace

Command quantize_command() {
  return {"quantize", "Split a model into a low-bit base and an adapter",
          "  qloft quantize Llama-3.2-1B -o q2 --method loftq --bits 2 --rank 32\n"
          "  qloft quantize Llama-3.2-1B -o q4 --method qlora\n"
          "  qloft quantize Llama-3.2-1B -o q2 --method qloft --bits 2 --stats llama.stats",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::QuantizeOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::quantize(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
