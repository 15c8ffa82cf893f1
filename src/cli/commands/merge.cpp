#include "qloft/pipeline/merge.h"

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

Command merge_command() {
  return {"merge", "Multiply base and adapter out to a plain full-precision folder",
          "  qloft merge q2 --adapter tuned -o merged --dtype bf16",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::MergeOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::merge(*options, context.progress);
              context.print(format_fields(report));
              return report_json(report, *options);
            };
          },
          kGoesOn};
}

}  // namespace qloft::cli
