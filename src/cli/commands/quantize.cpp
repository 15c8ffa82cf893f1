#include "qloft/pipeline/quantize.h"

#include <fmt/format.h>

#include "../command.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::QuantizeOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--method", o.method, "loftq or qlora");
  v("--rank", o.rank, "rank of the adapter; 0: none");
  v("--alpha", o.alpha, "its alpha (the rank, so that its scale is 1)");
  v("--iterations", o.iterations, "alternations of the method's loop (its own)");
  v("--exact", o.exact, "full singular value decompositions");
  v("--seed", o.seed, "seed of the random parts");
  v("--target-modules", o.target_modules,
    "q_proj, v_proj, lm_head, ...; default: all linear layers but lm_head");
  v("--adapter-dtype", o.adapter_dtype, "how the adapter is stored: f32, bf16 or f16");
  v.group("Format");
  v("--plan", o.plan, "a plan of `qloft plan`: a format for each matrix, in place of the others");
  v("--bits", o.bits, "1 to 8 (the method's own: 4)");
  v("--codebook", o.codebook, "nf, uniform, uniform-asymmetric, lloyd, binary or ternary");
  v("--block", o.block, "weights that share a scale: 16 to 4096; 0: a row");
  v("--scale", o.scale, "absmax, or mse: the scale of the least squared error");
  v("--scale-type", o.scale_type, "f32, bf16, f16, or double: quantized themselves");
  v("--second-bits", o.second_bits, "double: bits of a scale (8)");
  v("--second-block", o.second_block, "double: scales that share a scale (256)");
  v("--second-type", o.second_type, "double: type of that scale (f32)");
  v("--second-code", o.second_code, "double: dynamic (bitsandbytes) or uniform (LQ-LoRA)");
}

Json to_json(const pipeline::QuantizeReport& report) {
  Json json = {{"output", report.output.string()},
               {"format", report.format},
               {"bits_per_weight", report.bits_per_weight},
               {"relative_error", report.relative_error},
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
                                {"svd_residual", m.svd_residual},
                                {"seconds", m.seconds}});
  }
  return json;
}

std::string to_text(const pipeline::QuantizeReport& report) {
  return format_pairs({{"matrices", std::to_string(report.matrices.size())},
                       {"format", report.format},
                       {"bits per weight", fmt::format("{:.3f}", report.bits_per_weight)},
                       {"mean error", fmt::format("{:.4f}", report.relative_error)},
                       {"peak memory", format_bytes(static_cast<double>(report.peak_memory))},
                       {"time", clock_time(report.seconds)},
                       {"written to", report.output.string()}});
}

}  // namespace

Command quantize_command() {
  return {"quantize", "Split a model into a low-bit base and an adapter",
          "  qloft quantize Llama-3.2-1B -o q2 --method loftq --bits 2 --rank 32\n"
          "  qloft quantize Llama-3.2-1B -o q4 --method qlora",
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
