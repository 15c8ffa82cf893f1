#include "qloft/pipeline/finetune.h"

#include <cstdio>

#include "../example_text.h"
#include "../fields.h"
#include "../terminal_progress.h"
#include "model_options.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::cli {

namespace {

Json show_examples(pipeline::FinetuneOptions& options, Context& context) {
  const auto report = pipeline::show_examples(options, context.progress);
  const bool colours = shows_colours(stdout);
  for (const auto& example : report.shown) {
    context.print(format_example(example, terminal_width(stdout), colours) + "\n");
  }
  context.print(format_fields(report));
  return report_json(report, options);
}

}  // namespace

Command finetune_command() {
  return {"finetune", "Train an adapter, or all weights",
          "  qloft finetune q2 --data train.jsonl --show 3\n"
          "  qloft finetune q2 --data train.jsonl -o tuned --epochs 3 --lr 3e-4\n"
          "  qloft finetune BERT --task classification --text-column review --label-column stars "
          "--data train.csv -o stars\n"
          "  qloft finetune Qwen3-0.6B --method lora --rank 32 --data chats.jsonl -o tuned",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::FinetuneOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--data")->required();
            return [options](Context& context) {
              if (options->show > 0) return show_examples(*options, context);
              const auto report = pipeline::finetune(*options, context.progress);
              context.print(format_fields(report));
              return report_json(report, *options);
            };
          },
          "stopped; where a state was saved before, --resume goes on from there"};
}

}  // namespace qloft::cli
