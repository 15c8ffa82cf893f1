#include "qloft/chat_template.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "jinja/ast.h"
#include "jinja/interpreter.h"
#include "messages.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "sources.h"

namespace qloft::chat_template {
namespace {

namespace fs = std::filesystem;

// What a rendering may cost: far more than any honest template needs, yet done within seconds.
constexpr std::size_t kBudget = std::size_t{1} << 26;
constexpr std::size_t kBudgetPerByte = 64;

// The names that transformers passes to a template beside the conversation.
constexpr const char* kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

io::Json named_tokens(const SpecialTokens& tokens) {
  io::Json named = io::Json::object();
  for (const char* name : kTokenNames) {
    if (const auto found = tokens.find(name); found != tokens.end()) named[name] = found->second;
  }
  return named;
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

// One of the templates of a checkpoint.
struct Named {
  Source source;
  jinja::Template tree;
  std::optional<InputError> broken;  // thrown where the template is needed

  explicit Named(Source from) : source(std::move(from)) {
    try {
      tree = jinja::parse(source.text);
    } catch (const jinja::SyntaxFailure& failure) {
      const std::string where = "chat template, line " + std::to_string(failure.line) +
                                ", column " + std::to_string(failure.column);
      broken = InputError({source.file, where}, failure.message);
    }
  }

  const Named& usable() const {
    if (broken) throw InputError(*broken);
    return *this;
  }
};

}  // namespace

struct ChatTemplate::State {
  std::vector<Named> templates;
  io::Json tokens;

  State(std::vector<Source> sources, io::Json special) : tokens(std::move(special)) {
    for (Source& source : sources) templates.emplace_back(std::move(source));
    if (const Named* named = find("default")) named->usable();
  }

  const Named* find(std::string_view name) const {
    for (const Named& named : templates) {
      if (named.source.name == name) return &named;
    }
    return nullptr;
  }

  // As transformers chooses: the one that is asked for by name, tool_use where there are tools, the
  // default one.
  const Named& chosen(const io::Json& variables) const {
    if (const auto wanted = variables.find("chat_template");
        wanted != variables.end() && wanted->is_string()) {
      if (const Named* named = find(wanted->get_ref<const std::string&>())) {
        return named->usable();
      }
      throw InputError(
          {templates.front().source.file, "chat_template"},
          "expected one of " + names() + ", found '" + wanted->get<std::string>() + "'");
    }
    const auto tools = variables.find("tools");
    const Named* with_tools =
        tools != variables.end() && !tools->is_null() ? find("tool_use") : nullptr;
    if (with_tools != nullptr) return with_tools->usable();
    if (const Named* named = find("default")) return named->usable();
    throw InputError({templates.front().source.file, "chat_template"},
                     "expected a template named default, found only " + names());
  }

  std::string names() const {
    std::string list;
    for (const Named& named : templates) list += (list.empty() ? "" : ", ") + named.source.name;
    return list;
  }
};

ChatTemplate::ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}

ChatTemplate::ChatTemplate(std::string_view source, std::string bos, std::string eos)
    : state_(std::make_shared<const State>(
          std::vector<Source>{{"default", std::string(source), {}}},
          io::Json{{"bos_token", std::move(bos)}, {"eos_token", std::move(eos)}})) {}

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& folder,
                                               const SpecialTokens& tokens) {
  std::vector<Source> sources = find_sources(folder);
  if (sources.empty()) return std::nullopt;
  return ChatTemplate(std::make_shared<const State>(std::move(sources), named_tokens(tokens)));
}

ChatTemplate ChatTemplate::read(const fs::path& file, const SpecialTokens& tokens) {
  return ChatTemplate(std::make_shared<const State>(read_sources(file), named_tokens(tokens)));
}

bool ChatTemplate::is_in(const fs::path& folder) {
  return !find_sources(folder).empty();
}

void ChatTemplate::save(const fs::path& folder) const {
  for (const Named& named : state_->templates) {
    const Source& source = named.source;
    if (source.name == "default") {
      write_file(folder / "chat_template.jinja", source.text);
      continue;
    }
    if (source.name.empty() || fs::path(source.name).filename() != source.name ||
        source.name == "." || source.name == "..") {
      throw InputError({source.file, "chat_template"},
                       "expected a name that a file can have, found '" + source.name + "'");
    }
    make_folders(folder / "additional_chat_templates");
    write_file(folder / "additional_chat_templates" / (source.name + ".jinja"), source.text);
  }
}

bool ChatTemplate::marks_generation(const io::Json& variables) const {
  return state_->chosen(variables).tree.marks_generation;
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
  const Named& chosen = state_->chosen(variables);
  jinja::Budget budget(kBudget + kBudgetPerByte * size_of(variables));
  int line = 0;
  try {
    jinja::Dict names;
    for (const auto* source : {&state_->tokens, &variables}) {
      for (const auto& [name, value] : source->items()) {
        if (name == "chat_template") continue;  // that chose the template
        const bool conversation = source == &variables && name == "messages";
        names.set(name, jinja::from_json(conversation ? prepare_messages(value) : value, budget),
                  budget);
      }
    }
    jinja::Interpreter machine(chosen.tree, std::move(names), budget);
    try {
      jinja::Output output = machine.run();
      return {std::move(output.text), std::move(output.generated)};
    } catch (const jinja::Failure&) {
      line = machine.line();
      throw;
    }
  } catch (const jinja::Failure& failure) {
    const std::string where = line > 0 ? ", line " + std::to_string(line) : "";
    throw InputError({chosen.source.file, "chat template" + where}, failure.message);
  }
}

}  // namespace qloft::chat_template
