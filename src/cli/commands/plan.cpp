#include "qloft/pipeline/plan.h"

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

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
              context.print(format_rows(report.formats) + "\n");
              context.print(format_fields(report));
              return report_json(report, *options);
            };
          },
          kGoesOn};
}

}  // namespace qloft::cli
