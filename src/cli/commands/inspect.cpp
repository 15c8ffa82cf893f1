#include "qloft/pipeline/inspect.h"

#include <fmt/format.h>

#include "../fields.h"
#include "../table.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::InspectOptions& o, Visitor& v) {
  v("--rank", o.rank, "rank of the adapters in the memory table");
  v("--batch", o.batch, "sequences a micro-batch");
  v("--tokens", o.tokens, "tokens a sequence");
  v("--checkpointing", o.checkpointing, "activations are recomputed in the backward pass");
  v("--dtype", o.dtype, "activations and dense weights: f32 or bf16");
  v("--bits", o.bits, "widths in the memory table");
}

std::int64_t inner_size(const architecture::Layout& layout) {
  return layout.parameter(architecture::first_mlp(layout).down).columns();
}

std::string describe(const pipeline::InspectReport& report) {
  const architecture::Layout& layout = report.layout;
  const architecture::Attention& a = architecture::first_attention(layout);
  std::vector<std::pair<std::string, std::string>> lines = {
      {"architecture", layout.family},
      {"parameters", fmt::format("{} ({} in {} linear layers)",
                                 short_number(static_cast<double>(report.parameters)),
                                 short_number(static_cast<double>(report.linear_parameters)),
                                 architecture::linear_layers(layout).size())},
      {"layers", fmt::format("{} of hidden size {}, inner size {}", layout.layers(),
                             layout.hidden_size, inner_size(layout))},
      {"attention",
       fmt::format("{} query heads, {} key/value heads of {}{}", a.heads, a.key_value_heads,
                   a.head_dim, a.window > 0 ? fmt::format(", sliding window {}", a.window) : "")},
      {"vocabulary", fmt::format("{}{}", layout.vocabulary_size,
                                 architecture::has_tied_output(layout) ? ", tied embeddings" : "")},
      {"positions", std::to_string(layout.max_positions)},
      {"tensors on disk", format_bytes(static_cast<double>(report.tensor_bytes))}};
  if (!report.matrices.empty()) {
    lines.emplace_back("packed matrices", std::to_string(report.matrices.size()));
    lines.emplace_back("bits per weight", fmt::format("{:.3f}", report.bits_per_weight));
    if (report.mean_relative_error) {
      lines.emplace_back("mean error", fmt::format("{:.4f}", *report.mean_relative_error));
    }
    lines.emplace_back("compression",
                       fmt::format("{:.2f} x against bf16", report.compression_ratio));
  }
  return format_pairs(lines);
}

std::string memory_table(const pipeline::InspectReport& report) {
  std::vector<std::string> methods;
  std::vector<architecture::TrainingMemory> memories;
  for (const auto& row : report.memory) {
    methods.push_back(row.method);
    memories.push_back(row.memory);
  }
  return format_rows("training", methods, memories);
}

Json to_json(const pipeline::InspectReport& report) {
  const architecture::Layout& layout = report.layout;
  const architecture::Attention& a = architecture::first_attention(layout);
  Json json = {{"architecture", layout.family},
               {"parameters", report.parameters},
               {"linear_parameters", report.linear_parameters},
               {"layers", layout.layers()},
               {"hidden_size", layout.hidden_size},
               {"intermediate_size", inner_size(layout)},
               {"heads", a.heads},
               {"key_value_heads", a.key_value_heads},
               {"head_dim", a.head_dim},
               {"vocabulary_size", layout.vocabulary_size},
               {"tensor_bytes", report.tensor_bytes}};
  for (const auto& row : report.memory) {
    json["memory"][row.method] = io::fields_to_json(row.memory);
  }
  json["linear"] = Json::array();
  for (const architecture::ParameterId id : architecture::linear_layers(layout)) {
    const architecture::Parameter& linear = layout.parameter(id);
    json["linear"].push_back(
        {{"name", linear.module()}, {"out", linear.rows()}, {"in", linear.columns()}});
  }
  json["matrices"] = Json::array();
  for (const auto& matrix : report.matrices) json["matrices"].push_back(io::fields_to_json(matrix));
  if (!report.matrices.empty()) {
    json["bits_per_weight"] = report.bits_per_weight;
    json["relative_error"] =
        report.mean_relative_error ? Json(*report.mean_relative_error) : Json(nullptr);
    json["compression_ratio"] = report.compression_ratio;
  }
  return json;
}

}  // namespace

Command inspect_command() {
  return {"inspect", "Show what a model holds and what training it takes",
          "  qloft inspect Llama-3.2-1B --rank 64 --batch 4 --tokens 512",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::InspectOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            return [options](Context& context) {
              const auto report = pipeline::inspect(*options);
              context.print(describe(report) + "\n");
              if (!report.matrices.empty()) context.print(format_rows(report.matrices) + "\n");
              context.print(memory_table(report));
              Json json = to_json(report);
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              return json;
            };
          }};
}

}  // namespace qloft::cli
