#include "qloft/pipeline/quantize.h"

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

Command quantize_command() {
  return {"quantize", "Split a model into a low-bit base and an adapter",
          "  qloft quantize Llama-3.2-1B -o q2 --bits 2 --data wiki.valid.txt\n"
          "  qloft quantize Llama-3.2-1B -o q400 --size 400MB --rank 32\n"
          "  qloft quantize Llama-3.2-1B -o q4 --method qlora",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::QuantizeOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--output")->required();
            return [options](Context& context) {
              const auto report = pipeline::quantize(*options, context.progress);
              context.print(format_fields(report));
              return report_json(report, *options);
            };
          },
          kGoesOn};
}

}  // namespace qloft::cli
