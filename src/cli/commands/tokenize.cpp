#include "qloft/pipeline/tokenize.h"

#include <fmt/format.h>

#include "../command.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::TokenizeOptions& o, Visitor& v) {
  v("--file", o.file, "the file whose lines are tokenized");
  v("--jsonl", o.jsonl, "it holds JSON Lines or an array of objects with a field \"text\"");
  v("--no-special", o.no_special, "do not add the tokenizer's special tokens");
  v("--decode", o.decode, "add what the ids decode to");
}

}  // namespace

Command tokenize_command() {
  return {"tokenize", "Turn lines of text into token ids, one JSON object a line",
          "  qloft tokenize Llama-3.2-1B --file lines.txt", [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::TokenizeOptions>();
            add_model_argument(app, options->model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            app.get_option("--file")->required();
            return [options](Context& context) {
              std::int64_t tokens = 0;
              const std::int64_t lines =
                  pipeline::tokenize(*options, [&](const pipeline::TokenizedLine& line) {
                    tokens += static_cast<std::int64_t>(line.ids.size());
                    Json json = {{"text", line.text}, {"ids", line.ids}};
                    if (options->decode) json["decoded"] = line.decoded;
                    context.print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
                  });
              return Json{{"lines", lines}, {"tokens", tokens}};
            };
          }};
}

}  // namespace qloft::cli
