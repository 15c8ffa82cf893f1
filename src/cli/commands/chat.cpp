#include <fmt/format.h>
#include <unistd.h>

#include "../command.h"
#include "../input_lines.h"
#include "../output.h"
#include "model_options.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/generate.h"

namespace qloft::cli {
namespace {

constexpr const char* kHelp =
    "/adapter         list the adapters\n"
    "/adapter NAME    switch to one (base: none)\n"
    "/clear           forget the conversation\n"
    "/exit            leave (as end of input does)\n";

template <typename Visitor>
void visit_options(pipeline::ChatOptions& o, Visitor& v) {
  v("--adapters", o.adapters, "further adapters to switch to: DIR or NAME=DIR");
  v("--system", o.system, "the system message");
  v("-n,--max-tokens", at_most(o.max_tokens, train::kMostLength), "tokens a reply may have");
  v("--context", at_most(o.context, train::kMostLength), "positions of the conversation held");
  visit_options(o.model, v);
  v("--cache-type", o.model.cache_type, pipeline::kCacheTypeHelp);
  v("--adapter-type", o.model.adapter_type, pipeline::kAdapterTypeHelp);
  v("--output-type", o.model.output_type, pipeline::kOutputTypeHelp);
  visit_options(o.settings, v);
}

std::string list_adapters(const pipeline::Conversation& conversation) {
  std::string text;
  for (const std::string& name : conversation.adapters()) {
    text += fmt::format("{} {}\n", name == conversation.active_adapter() ? "*" : " ", name);
  }
  return text;
}

// False: the conversation is over.
bool obey(const std::string& line, pipeline::Conversation& conversation, const Context& context) {
  const std::size_t space = line.find(' ');
  const std::string word = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (word == "/exit" || word == "/quit") return false;
  if (word == "/clear") {
    conversation.clear();
  } else if (word == "/adapter" && rest.empty()) {
    context.print(list_adapters(conversation));
  } else if (word == "/adapter") {
    conversation.switch_adapter(rest);
    context.print(fmt::format("adapter: {}\n", rest));
  } else if (word == "/help") {
    context.print(kHelp);
  } else {
    throw InputError({{}, word}, "unknown command; /help lists them");
  }
  return true;
}

}  // namespace

Command chat_command() {
  return {"chat", "Hold a conversation; /adapter NAME switches adapters",
          "  qloft chat q4 --adapters maths=tuned-maths --system \"Answer briefly.\"",
          [](CLI::App& app) -> Runner {
            const auto options = std::make_shared<pipeline::ChatOptions>();
            add_model_argument(app, options->model.model);
            OptionBinder bind(app);
            visit_options(*options, bind);
            return [options](Context& context) {
              pipeline::Conversation conversation(*options, context.progress);
              const bool interactive = ::isatty(STDIN_FILENO) == 1;
              if (interactive) context.print("Type a message, or /help.\n");
              Json turns = Json::array();
              InputLines lines(STDIN_FILENO);
              std::string line;
              for (;;) {
                if (interactive) context.print("> ");
                flush_out();
                if (!lines.next(line, context.progress)) break;
                if (line.empty()) continue;
                try {
                  if (line.starts_with("/")) {
                    if (!obey(line, conversation, context)) break;
                    continue;
                  }
                  const auto reply = conversation.say(line, [&](std::string_view piece) {
                    context.print(std::string(piece));
                    flush_out();
                    return !context.progress.stop_requested();
                  });
                  context.print("\n");
                  turns.push_back({{"user", line},
                                   {"assistant", reply.text},
                                   {"adapter", conversation.active_adapter()}});
                } catch (const InputError& error) {
                  // A conversation outlives a mistyped line; a script's does not.
                  if (!interactive) throw;
                  context.progress.warn(error.what());
                }
              }
              if (context.progress.stop_requested()) context.stopped = "stopped";
              return Json{{"turns", turns},
                          {"dtype", conversation.arithmetic().dtype},
                          {"matmul", conversation.arithmetic().matmul},
                          {"cache_type", conversation.arithmetic().cache_type},
                          {"adapter_type", conversation.arithmetic().adapter_type},
                          {"output_type", conversation.arithmetic().output_type}};
            };
          }};
}

}  // namespace qloft::cli
