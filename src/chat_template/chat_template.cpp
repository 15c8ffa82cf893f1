#include "qloft/chat_template.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "jinja/ast.h"
#include "jinja/interpreter.h"
#include "messages.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::chat_template {
namespace {

namespace fs = std::filesystem;

// What a rendering may cost: far more than any honest template needs, yet done within seconds.
constexpr std::size_t kBudget = std::size_t{1} << 26;
constexpr std::size_t kBudgetPerByte = 64;

// {"name": "text"} and {"name": {"content": "text"}} (an added token), as both files write them.
std::optional<std::string> token_text(const io::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) return std::nullopt;
  const auto content = value.find("content");
  if (content == value.end() || !content->is_string()) return std::nullopt;
  return content->get<std::string>();
}

std::optional<io::Json> read_object(const fs::path& file) {
  if (!fs::is_regular_file(file)) return std::nullopt;
  io::Json json = io::read_json(file);
  if (!json.is_object()) throw InputError({file, {}}, "expected an object");
  return json;
}

// The names that transformers passes to a template beside the conversation.
constexpr const char* kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

void take_tokens(const io::Json& source, io::Json& tokens) {
  for (const char* name : kTokenNames) {
    const auto found = source.find(name);
    if (found == source.end()) continue;
    if (std::optional<std::string> text = token_text(*found)) tokens[name] = *text;
  }
}

// chat_template as a string, or as a list of {"name", "template"} of which "default" counts.
std::optional<std::string> template_text(const io::Json& holder, const fs::path& file) {
  const auto found = holder.find("chat_template");
  if (found == holder.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  const ErrorLocation where{file, "chat_template"};
  if (!found->is_array()) throw InputError(where, "expected a string or a list of templates");
  for (const io::Json& entry : *found) {
    const bool fits = entry.is_object() && entry.contains("name") && entry.contains("template") &&
                      entry["template"].is_string();
    if (!fits) throw InputError(where, "expected entries with a name and a template");
    if (entry["name"] == "default") return entry["template"].get<std::string>();
  }
  return std::nullopt;
}

// A bound for work that grows with the input.
std::size_t size_of(const io::Json& json) {
  std::size_t size = 1;
  if (json.is_string()) size += json.get_ref<const std::string&>().size();
  if (json.is_structured()) {
    for (const io::Json& item : json) size += size_of(item);
  }
  return size;
}

}  // namespace

struct ChatTemplate::State {
  fs::path file;  // empty: not from a file
  jinja::Template tree;
  io::Json tokens = io::Json::object();

  State(std::string_view source, fs::path from, io::Json special)
      : file(std::move(from)), tokens(std::move(special)) {
    try {
      tree = jinja::parse(source);
    } catch (const jinja::SyntaxFailure& failure) {
      throw InputError({file, "chat template, line " + std::to_string(failure.line) + ", column " +
                                  std::to_string(failure.column)},
                       failure.message);
    }
  }
};

ChatTemplate::ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}

ChatTemplate::ChatTemplate(std::string_view source, std::string bos, std::string eos)
    : state_(std::make_shared<const State>(
          source, fs::path(),
          io::Json{{"bos_token", std::move(bos)}, {"eos_token", std::move(eos)}})) {}

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& model_folder) {
  const fs::path config_file = model_folder / "tokenizer_config.json";
  const std::optional<io::Json> config = read_object(config_file);
  io::Json tokens = io::Json::object();
  if (const auto map = read_object(model_folder / "special_tokens_map.json")) {
    take_tokens(*map, tokens);
  }
  if (config) take_tokens(*config, tokens);

  fs::path file = model_folder / "chat_template.jinja";
  std::optional<std::string> source;
  if (fs::is_regular_file(file)) {
    source = read_file(file);
  } else {
    file = model_folder / "chat_template.json";
    if (const auto holder = read_object(file)) source = template_text(*holder, file);
    if (!source && config) {
      file = config_file;
      source = template_text(*config, file);
    }
  }
  if (!source) return std::nullopt;
  return ChatTemplate(std::make_shared<const State>(*source, file, std::move(tokens)));
}

bool ChatTemplate::marks_generation() const {
  return state_->tree.marks_generation;
}

std::string ChatTemplate::render(const std::vector<Message>& messages,
                                 bool add_generation_prompt) const {
  io::Json list = io::Json::array();
  for (const Message& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return render(io::Json{{"messages", std::move(list)},
                         {"tools", nullptr},
                         {"documents", nullptr},
                         {"add_generation_prompt", add_generation_prompt}});
}

std::string ChatTemplate::render(const io::Json& variables) const {
  return render_marked(variables).text;
}

Rendering ChatTemplate::render_marked(const io::Json& variables) const {
  if (!variables.is_object()) throw InputError("a chat template's variables must be an object");
  jinja::Budget budget(kBudget + kBudgetPerByte * size_of(variables));
  int line = 0;
  try {
    jinja::Dict names;
    for (const auto* source : {&state_->tokens, &variables}) {
      for (const auto& [name, value] : source->items()) {
        const bool conversation = source == &variables && name == "messages";
        names.set(name, jinja::from_json(conversation ? prepare_messages(value) : value, budget),
                  budget);
      }
    }
    jinja::Interpreter machine(state_->tree, std::move(names), budget);
    try {
      jinja::Output output = machine.run();
      return {std::move(output.text), std::move(output.generated)};
    } catch (const jinja::Failure&) {
      line = machine.line();
      throw;
    }
  } catch (const jinja::Failure& failure) {
    const std::string where = line > 0 ? ", line " + std::to_string(line) : "";
    throw InputError({state_->file, "chat template" + where}, failure.message);
  }
}

}  // namespace qloft::chat_template
