#include "qloft/pipeline/plan.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::PlanOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the plan to write, a JSON file");
  v("--overwrite", o.overwrite, "replace it if it is there");
  v.group("Budget (one of the two)");
  v("--bits", o.bits, "mean stored bits of a quantized weight, all scales counted");
  v("--size", o.size, "of all tensors and the adapter: 3GB, 700MiB, ...");
  v.group("Choice");
  v("--strategy", o.strategy, "ilp, greedy, first-layers or uniform");
  v("--candidates", o.candidates, "lq-lora, wide, or a JSON file: an array of formats");
  v("--first-last-bits", o.first_last_bits, "least bits of a code in the first and the last layer");
  v("--same-qkv", o.same_qkv, "one format for q_proj, k_proj and v_proj of a layer");
  v("--time-limit", o.time_limit, "of the integer program, in seconds");
  v("--target-modules", o.target_modules,
    "q_proj, v_proj, lm_head, ...; default: all linear layers but lm_head");
  v.group("Errors");
  v("--rank", o.rank, "rank of the adapter to come: what it takes up costs no bits");
  v("--metric", o.metric,
    "which errors matter: frobenius, fisher, gram, gram-diagonal or fisher-gram");
  v("--stats", o.stats, "what calibrate wrote; every metric but frobenius needs it");
  v("--damping", o.damping, "of Gram matrices, in parts of the diagonal's mean (0.01)");
  v("--adapter-dtype", o.adapter_dtype, "how the adapter is stored, for --size: f32, bf16 or f16");
}

Json to_json(const pipeline::PlanReport& report) {
  Json json = {{"output", report.output.string()},
               {"strategy", report.strategy},
               {"matrices", report.matrices},
               {"candidates", report.candidates},
               {"bits_per_weight", report.bits_per_weight},
               {"bytes", report.bytes},
               {"model_bytes", report.model_bytes},
               {"objective", report.objective},
               {"bound", report.bound},
               {"gap", report.gap},
               {"seconds", report.seconds},
               {"solve_seconds", report.solve_seconds},
               {"known_errors", report.known},
               {"errors_file", report.errors_file.string()}};
  json["formats"] = Json::array();
  for (const auto& f : report.formats) {
    json["formats"].push_back({{"format", f.format},
                               {"matrices", f.matrices},
                               {"weights", f.weights},
                               {"bits_per_weight", f.bits_per_weight}});
  }
  return json;
}

std::string to_text(const pipeline::PlanReport& report) {
  std::int64_t weights = 0;
  for (const auto& f : report.formats) weights += f.weights;
  std::vector<std::vector<std::string>> rows;
  for (const auto& f : report.formats) {
    rows.push_back({f.format, std::to_string(f.matrices),
                    fmt::format("{:.1f} %", 100.0 * static_cast<double>(f.weights) /
                                                static_cast<double>(weights)),
                    fmt::format("{:.3f}", f.bits_per_weight)});
  }
  return format_table({{"format", Align::left}, {"matrices"}, {"weights"}, {"bits"}}, rows) + "\n" +
         format_pairs({{"bits per weight", fmt::format("{:.4f}", report.bits_per_weight)},
                       {"model and adapter", format_bytes(static_cast<double>(report.model_bytes))},
                       {"sum of errors", fmt::format("{:.6g}", report.objective)},
                       {"gap to the bound", fmt::format("{:.4f} %", 100.0 * report.gap)},
                       {"time", fmt::format("{} ({:.2f} s of it the choice)",
                                            clock_time(report.seconds), report.solve_seconds)},
                       {"errors kept in", report.errors_file.string()},
                       {"written to", report.output.string()}});
}

}  // namespace

Command plan_command() {
  return {"plan", "Choose a format for every matrix under a budget",
          "  qloft plan Llama-3.2-1B --bits 2.75 -o plan.json\n"
          "  qloft plan Llama-3.2-1B --size 700MB --candidates wide -o plan.json\n"
          "  qloft quantize Llama-3.2-1B -o q --method loftq --plan plan.json",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::PlanOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::plan(*options, context.progress);
              context.print(to_text(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
