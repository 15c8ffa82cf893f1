#include "qloft/pipeline/calibrate.h"

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

Command calibrate_command() {
  return {"calibrate", "Collect what the metrics of quantize need",
          "  qloft calibrate Llama-3.2-1B --data wiki.valid.txt -o llama.stats\n"
          "  qloft quantize Llama-3.2-1B -o q2 --method cloq --bits 2 --stats llama.stats",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::CalibrateOptions>();
            add_model_argument(app, options->model.model);
            OptionBinder bind(app);
            pipeline::visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::calibrate(*options, context.progress);
              context.print(format_fields(report));
              return report_json(report, *options);
            };
          },
          kGoesOn};
}

}  // namespace qloft::cli
