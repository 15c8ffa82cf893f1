#include "qloft/pipeline/sensitivity.h"

#include <algorithm>

#include "../fields.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

Command sensitivity_command() {
  return {
      "sensitivity", "Measure what quantizing each matrix by itself costs",
      "  qloft sensitivity Llama-3.2-1B --data wiki.test.txt --method loftq --bits 2 -o s.json\n"
      "  qloft sensitivity Llama-3.2-1B --data wiki.test.txt --bits 3 --stats llama.stats "
      "--match mlp -o s.json\n"
      "  qloft sensitivity Llama-3.2-1B --data wiki.test.txt --restore q2 -o s.json",
      [](CLI::App& app) -> Runner {
        const auto options = std::make_shared<pipeline::SensitivityOptions>();
        add_model_argument(app, options->quantize.model);
        OptionBinder bind(app);
        visit_options(*options, bind);
        app.get_option("--data")->required();
        app.get_option("--output")->required();
        return [options](Context& context) {
          const auto report = pipeline::sensitivity(*options, context.progress);
          auto costly = report.matrices;
          std::ranges::stable_sort(costly, std::ranges::greater(),
                                   &pipeline::SensitiveMatrix::divergence);
          context.print(format_rows(costly) + "\n");
          context.print("Rank correlation with the divergence:\n");
          context.print(format_rows(report.ranks) + "\n");
          context.print(format_fields(report));
          return report_json(report, *options);
        };
      },
      kGoesOn};
}

}  // namespace qloft::cli
