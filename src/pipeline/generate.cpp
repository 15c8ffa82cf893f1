#include "qloft/pipeline/generate.h"

#include <algorithm>

#include "clock.h"
#include "load.h"
#include "qloft/chat_template.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/data/end_tokens.h"
#include "qloft/generate.h"

namespace qloft::pipeline {
namespace {

chat_template::ChatTemplate need_chat_template(const checkpoint::Checkpoint& source) {
  auto found = chat_template::ChatTemplate::load(source.folder());
  if (!found) throw InputError({source.folder(), "chat_template"}, "the checkpoint has none");
  return std::move(*found);
}

model::AdapterId adapter_id(const model::Model& model, const std::string& name) {
  return name == "base" ? model::kNoAdapter : model.find_adapter(name);
}

// A reply in a conversation ends where the template ends a turn.
void end_at_turns(const LoadedModel& loaded, generate::Options& settings) {
  const auto end = data::turn_end(loaded.tokenizer, need_chat_template(loaded.source()));
  if (end) settings.eos.push_back(*end);
}

}  // namespace

GenerateReport generate(const GenerateOptions& options, const generate::Sink& sink,
                        Progress& progress) {
  check_model_options(options.model);
  options.sampling.validate();
  std::string prompt = options.prompt;
  if (!options.prompt_file.empty()) {
    if (!prompt.empty()) {
      throw InputError({{}, "prompt"}, "a prompt and a prompt file were given; expected one");
    }
    prompt = read_file(options.prompt_file);
  }
  LoadedModel loaded = load_model(options.model, progress);

  GenerateReport report;
  if (options.chat) {
    const auto chat = need_chat_template(loaded.source());
    report.prompt_ids = loaded.tokenizer.encode(chat.render({{"user", prompt}}, true), false);
  } else {
    report.prompt_ids = loaded.tokenizer.encode(prompt);
  }
  generate::Options settings;
  settings.eos = generate::end_tokens(loaded.source(), loaded.tokenizer);
  if (options.chat) end_at_turns(loaded, settings);
  settings.sampling = options.sampling;
  settings.max_tokens = options.max_tokens;
  settings.ignore_eos = options.ignore_eos;
  settings.adapter = loaded.adapter;
  settings.stop = options.stop;

  const auto start = Clock::now();
  bool first = true;
  const generate::Sink timed = [&](std::string_view piece) {
    if (first) report.prompt_seconds = seconds_since(start);
    first = false;
    if (progress.stop_requested()) return false;
    return sink ? sink(piece) : true;
  };
  report.result =
      generate::generate(loaded.model, loaded.tokenizer, report.prompt_ids, settings, timed);
  report.seconds = seconds_since(start);
  return report;
}

struct Conversation::State {
  ChatOptions options;
  LoadedModel loaded;
  chat_template::ChatTemplate chat;
  generate::Options settings;
  std::vector<chat_template::Message> messages;
  std::vector<std::string> adapters;
  std::string active;
  std::unique_ptr<generate::Session> session;
};

Conversation::Conversation(const ChatOptions& options, Progress& progress) {
  check_model_options(options.model);
  options.sampling.validate();
  LoadedModel loaded = load_model(options.model, progress);
  auto chat = need_chat_template(loaded.source());
  state_ = std::make_unique<State>(
      State{options, std::move(loaded), std::move(chat), {}, {}, {}, {}, nullptr});
  State& s = *state_;
  s.adapters = s.loaded.model.adapters();
  s.active = s.adapters.empty() ? "base" : s.adapters.front();
  for (const std::string& given : options.adapters) {
    const std::size_t equals = given.find('=');
    const std::string folder = equals == std::string::npos ? given : given.substr(equals + 1);
    std::string name = equals == std::string::npos
                           ? std::filesystem::path(folder).filename().string()
                           : given.substr(0, equals);
    if (name.empty() || name == "base" ||
        std::find(s.adapters.begin(), s.adapters.end(), name) != s.adapters.end()) {
      throw InputError({{}, "adapters"}, "expected a new name, found '" + name + "'");
    }
    s.loaded.model.attach(name, adapter::load(folder, s.loaded.files.layout()), false);
    s.adapters.push_back(std::move(name));
  }
  s.loaded.model.set_training(false);
  s.settings.adapter = adapter_id(s.loaded.model, s.active);
  s.settings.sampling = options.sampling;
  s.settings.max_tokens = options.max_tokens;
  s.settings.eos = generate::end_tokens(s.loaded.source(), s.loaded.tokenizer);
  end_at_turns(s.loaded, s.settings);
  const std::int64_t longest = s.loaded.model.layout().max_positions;
  const std::int64_t context = longest > 0 ? std::min(options.context, longest) : options.context;
  s.session = std::make_unique<generate::Session>(s.loaded.model, s.loaded.tokenizer, context);
  clear();
}

Conversation::~Conversation() = default;

generate::Result Conversation::say(const std::string& message, const generate::Sink& sink) {
  State& s = *state_;
  s.messages.push_back({"user", message});
  try {
    const auto prompt = s.loaded.tokenizer.encode(s.chat.render(s.messages, true), false);
    auto settings = s.settings;
    settings.sampling.seed += s.messages.size();  // another turn, other draws
    auto result = s.session->reply(prompt, settings, sink);
    s.messages.push_back({"assistant", result.text});
    return result;
  } catch (...) {
    s.messages.pop_back();
    throw;
  }
}

std::vector<std::string> Conversation::adapters() const {
  std::vector<std::string> names = {"base"};
  names.insert(names.end(), state_->adapters.begin(), state_->adapters.end());
  return names;
}

const std::string& Conversation::active_adapter() const {
  return state_->active;
}

void Conversation::switch_adapter(const std::string& name) {
  const auto known = adapters();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    std::string list;
    for (const std::string& k : known) list += (list.empty() ? "" : ", ") + k;
    throw InputError({{}, "adapter"}, "expected one of " + list + ", found '" + name + "'");
  }
  state_->settings.adapter = adapter_id(state_->loaded.model, name);
  state_->active = name;
  state_->session->reset();
}

void Conversation::clear() {
  state_->messages.clear();
  if (!state_->options.system.empty()) {
    state_->messages.push_back({"system", state_->options.system});
  }
}

}  // namespace qloft::pipeline
