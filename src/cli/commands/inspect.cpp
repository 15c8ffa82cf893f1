#include "qloft/pipeline/inspect.h"

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
  v("--dtype", o.dtype, "activations and dense weights: f32, bf16, or what auto would be here");
  v("--bits", o.bits, "widths in the memory table");
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
  Json json = io::fields_to_json(report);
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
              context.print(format_fields(report) + "\n");
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
