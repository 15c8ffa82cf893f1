#include "qloft/pipeline/merge.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::MergeOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--adapter", o.adapter, "PEFT adapter folder; default: the one inside a quantized folder");
  v("--dtype", o.dtype, "f32, bf16 or f16; default: config.json's");
}

}  // namespace

Command merge_command() {
  return {"merge", "Multiply base and adapter out to a plain full-precision folder",
          "  qloft merge q2 --adapter tuned -o merged --dtype bf16", [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::MergeOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::merge(*options, context.progress);
              context.print(
                  format_pairs({{"merged", fmt::format("{} modules", report.merged)},
                                {"dequantized", fmt::format("{} matrices", report.dequantized)},
                                {"type", report.dtype},
                                {"time", clock_time(report.seconds)},
                                {"written to", report.output.string()}}));
              Json json = {{"output", report.output.string()}, {"dtype", report.dtype},
                           {"merged", report.merged},          {"dequantized", report.dequantized},
                           {"seconds", report.seconds},        {"peak_memory", report.peak_memory}};
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
