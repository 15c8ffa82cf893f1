#include "qloft/pipeline/generate.h"

#include <fmt/format.h>

#include "../command.h"
#include "../output.h"
#include "../terminal_progress.h"
#include "model_options.h"

namespace qloft::cli {
namespace {

template <typename Visitor>
void visit_options(pipeline::GenerateOptions& o, Visitor& v) {
  v("-p,--prompt", o.prompt, "the text to continue");
  v("--prompt-file", o.prompt_file, "a file that holds it");
  v("--source-language", o.source_language, generate::kSourceLanguageHelp);
  v("--target-language", o.target_language, generate::kTargetLanguageHelp);
  v("--chat", o.chat, "wrap the prompt as a user's message in the chat template");
  v("-n,--max-tokens", at_most(o.max_tokens, train::kMostLength),
    "new tokens at most (generation_config.json's, else 128); it ends where the model's positions "
    "do");
  v("--ignore-eos", o.ignore_eos, "go on past the end-of-text token");
  v("--stop", o.stop, "end before this text (may be given more than once)");
  visit_options(o.model, v);
  v("--cache-type", o.model.cache_type, pipeline::kCacheTypeHelp);
  v("--adapter-type", o.model.adapter_type, pipeline::kAdapterTypeHelp);
  v("--output-type", o.model.output_type, pipeline::kOutputTypeHelp);
  visit_options(o.settings, v);
}

std::string reason_name(generate::StopReason reason) {
  switch (reason) {
    case generate::StopReason::length:
      return "length";
    case generate::StopReason::eos:
      return "eos";
    case generate::StopReason::stop_string:
      return "stop";
    case generate::StopReason::interrupted:
      return "interrupted";
  }
  return {};
}

Json sequence_json(const generate::Result& result) {
  Json json = {
      {"ids", result.ids}, {"text", result.text}, {"stop_reason", reason_name(result.reason)}};
  if (result.score) json["score"] = *result.score;
  return json;
}

// The best has been shown as it came.
void print_others(const std::vector<generate::Result>& results, const Context& context) {
  for (std::size_t i = 1; i < results.size(); ++i) {
    context.print(fmt::format("--- {}, score {:.4f}\n{}\n", i + 1, results[i].score.value_or(0),
                              results[i].text));
  }
}

void print_summary(const pipeline::GenerateReport& report, Progress& progress) {
  const std::size_t tokens = report.results.front().ids.size();
  const auto count = static_cast<double>(tokens);
  const double decode_seconds = report.seconds - report.prompt_seconds;
  if (count > 1 && decode_seconds > 0) {
    progress.note(fmt::format("{} tokens in {:.2f} s, {} tokens/s after the first", tokens,
                              report.seconds, short_number((count - 1) / decode_seconds)));
  }
}

}  // namespace

Command generate_command() {
  return {"generate", "Continue a prompt",
          "  qloft generate q4 -p \"Once upon a time\" --max-tokens 64 --temperature 0.8",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::GenerateOptions>();
            add_model_argument(app, options->model.model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            return [options](Context& context) {
              const bool show = !context.common.json;
              const auto report = pipeline::generate(
                  *options,
                  [show](std::string_view piece) {
                    if (show) {
                      print_out(piece);
                      flush_out();
                    }
                    return true;
                  },
                  context.progress);
              context.print("\n");
              print_others(report.results, context);
              print_summary(report, context.progress);
              const generate::Result& best = report.results.front();
              Json json = {{"prompt_ids", report.prompt_ids}};
              json.update(sequence_json(best));
              if (report.results.size() > 1) {
                for (const auto& one : report.results) {
                  json["sequences"].push_back(sequence_json(one));
                }
              }
              json.update(Json{{"dtype", report.arithmetic.dtype},
                               {"matmul", report.arithmetic.matmul},
                               {"cache_type", report.arithmetic.cache_type},
                               {"output_type", report.arithmetic.output_type},
                               {"prompt_seconds", report.prompt_seconds},
                               {"seconds", report.seconds}});
              if (!report.arithmetic.adapter_type.empty()) {
                json["adapter_type"] = report.arithmetic.adapter_type;
              }
              OptionEcho echo(json["options"]);
              visit_options(*options, echo);
              generate::Settings settings = report.settings;
              OptionEcho in_force(json["settings"]);
              visit_options(settings, in_force);
              if (best.reason == generate::StopReason::interrupted) {
                context.stopped = fmt::format("stopped after {} tokens", best.ids.size());
              }
              return json;
            };
          }};
}

}  // namespace qloft::cli
