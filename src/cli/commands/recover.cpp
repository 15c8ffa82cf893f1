#include "qloft/pipeline/recover.h"

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

Command recover_command() {
  return {
      "recover", "Train a quantized model's adapter to answer as the full one does",
      "  qloft recover q2 --teacher Llama-3.2-1B --data wiki.valid.txt -o q2-recovered\n"
      "  qloft recover q2 --teacher Llama-3.2-1B --data wiki.valid.txt -o q2-recovered --resume",
      [](CLI::App& app) -> Runner {
        const auto options = std::make_shared<pipeline::RecoverOptions>();
        app.add_option("MODEL", options->model, "a quantized folder")->required()->type_name("");
        OptionBinder bind(app);
        pipeline::visit_options(*options, bind);
        app.get_option("--teacher")->required();
        app.get_option("--data")->required();
        app.get_option("--output")->required();
        return [options](Context& context) {
          const auto report = pipeline::recover(*options, context.progress);
          context.print(format_fields(report));
          return report_json(report, *options);
        };
      },
      "stopped; what the teacher said is kept, and where a state was saved, --resume goes on "
      "from there"};
}

}  // namespace qloft::cli
