#include "qloft/pipeline/generate.h"

#include <algorithm>
#include <map>

#include "clock.h"
#include "load.h"
#include "qloft/chat_template.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/data/end_tokens.h"
#include "qloft/generate.h"
#include "qloft/tokenizer/language.h"
#include "suspects.h"

namespace qloft::pipeline {
namespace {

const chat_template::ChatTemplate& need_chat_template(const Tokenization& text) {
  if (text.chat) return *text.chat;
  throw InputError({text.sources.chat, "chat_template"},
                   "the checkpoint has none (--chat-template FILE gives one)");
}

std::vector<tokenizer::TokenId> prompt_of(const Tokenization& text,
                                          const std::vector<chat_template::Message>& messages) {
  auto ids = text.tokenizer.encode(need_chat_template(text).render(messages, true), false);
  if (ids.empty()) {
    throw InputError({text.sources.chat, "chat_template"},
                     "expected a prompt of at least one token, found none: it renders nothing");
  }
  return ids;
}

model::AdapterId adapter_id(const model::Model& model, const std::string& name) {
  return name == "base" ? model::kNoAdapter : model.find_adapter(name);
}

constexpr std::int64_t kMaxTokens = 128;

void refuse_below_one(std::int64_t value, const char* option) {
  if (value >= 1) return;
  throw InputError({{}, option}, "expected at least 1, found " + std::to_string(value));
}

// A reply in a conversation ends where the template ends a turn.
std::vector<tokenizer::TokenId> ends_of_turns(const checkpoint::Checkpoint& source,
                                              const Tokenization& text) {
  auto ends = generate::end_tokens(source, text.tokenizer);
  if (const auto end = data::turn_end(text.tokenizer, need_chat_template(text))) {
    ends.push_back(*end);
  }
  return ends;
}

}  // namespace

GenerateReport generate(const GenerateOptions& options, const generate::Sink& sink,
                        Progress& progress) {
  check_model_options(options.model);
  generate::check_settings(options.settings);
  std::string prompt = options.prompt;
  if (!options.prompt_file.empty()) {
    if (!prompt.empty()) {
      throw InputError({{}, "prompt"}, "a prompt and a prompt file were given; expected one");
    }
    prompt = read_file(options.prompt_file);
  }
  ModelInputs inputs = open_model(options.model, std::nullopt, /*takes_source=*/true);

  GenerateReport report;
  if (options.chat) {
    report.prompt_ids = prompt_of(inputs.text, {{"user", prompt}});
  } else {
    const auto reader =
        tokenizer::in_language(inputs.tokenizer(), options.source_language, "source_language");
    report.prompt_ids = reader.encode(prompt);
  }
  generate::Settings given = options.settings;
  const architecture::Layout& layout = inputs.files.layout();
  std::vector<tokenizer::TokenId> target;
  if (layout.encoder) {
    const auto start = generate::target_start_in(options.target_language, inputs.files.source(),
                                                 layout, inputs.tokenizer());
    target = {start.token};
    if (!given.forced_bos_token_id) given.forced_bos_token_id = start.forced_bos_token_id;
  } else if (!options.target_language.empty()) {
    tokenizer::language_of(inputs.tokenizer(), options.target_language, "target_language");
  }
  report.settings = generate::over(given, generate::read_settings(inputs.files.folder()));
  generate::Request request{report.prompt_ids, generate::options_of(report.settings)};
  if (layout.encoder) {
    request.source = std::move(request.prompt);
    request.prompt = std::move(target);
  }
  generate::Options& settings = request.options;
  settings.eos = options.chat ? ends_of_turns(inputs.files.source(), inputs.text)
                              : generate::end_tokens(inputs.files.source(), inputs.tokenizer());
  settings.max_tokens =
      options.max_tokens
          ? *options.max_tokens
          : generate::max_tokens_of(report.settings, std::ssize(request.prompt), kMaxTokens);
  settings.ignore_eos = options.ignore_eos;
  settings.stop.insert(settings.stop.end(), options.stop.begin(), options.stop.end());
  generate::check_request(request, layout);
  LoadedModel loaded = load_model(std::move(inputs), progress);
  report.arithmetic = loaded.arithmetic;
  if (loaded.adapter == model::kNoAdapter) report.arithmetic.adapter_type.clear();
  settings.adapter = loaded.adapter;

  const auto start = Clock::now();
  bool first = true;
  request.sink = [&](std::string_view piece) {
    if (first) report.prompt_seconds = seconds_since(start);
    first = false;
    if (progress.stop_requested()) return false;
    return sink ? sink(piece) : true;
  };
  try {
    report.results = generate::generate_all(loaded.model, loaded.tokenizer(), std::move(request));
  } catch (const ComputationError&) {
    rethrow_at_largest(weights_read(loaded.source(), options.model));
  }
  report.seconds = seconds_since(start);
  return report;
}

namespace {

// Further adapters of a conversation, each with its name.
struct NamedAdapter {
  std::string name, folder;
  adapter::Adapter adapter;
};

std::vector<NamedAdapter> read_adapters(const ChatOptions& options,
                                        const quantized::ModelFiles& files,
                                        std::vector<std::string> taken) {
  std::vector<NamedAdapter> out;
  for (const std::string& given : options.adapters) {
    const std::size_t equals = given.find('=');
    const std::string folder = equals == std::string::npos ? given : given.substr(equals + 1);
    std::string name = equals == std::string::npos
                           ? std::filesystem::path(folder).filename().string()
                           : given.substr(0, equals);
    if (name.empty() || std::ranges::find(taken, name) != taken.end()) {
      throw InputError({{}, "adapters"}, "expected a new name, found '" + name + "'");
    }
    auto adapter = read_adapter(folder, files, options.model.any_base);
    taken.push_back(name);
    out.push_back({std::move(name), folder, std::move(adapter)});
  }
  return out;
}

}  // namespace

namespace {

generate::Settings chat_settings(const ChatOptions& options, const std::filesystem::path& folder) {
  generate::Settings settings = generate::over(options.settings, generate::read_settings(folder));
  if (!settings.temperature) {
    settings.temperature = 0.7;
    if (!settings.top_p) settings.top_p = 0.95;
  }
  return settings;
}

}  // namespace

struct Conversation::State {
  ChatOptions options;
  LoadedModel loaded;
  generate::Options settings;
  std::vector<chat_template::Message> messages;
  std::vector<std::string> adapters;
  std::map<std::string, Tokenization> text;    // of each adapter, and of "base"
  std::vector<std::filesystem::path> weights;  // the folders that were read
  std::string active;
  std::int64_t context = 0;
  std::optional<generate::Engine> engine;
  std::optional<generate::SequenceId> sequence;  // of all turns so far

  // As the loaded model's, where it has the same files.
  void add_text(const std::string& name, const std::optional<std::filesystem::path>& adapter) {
    const TextSources sources =
        text_sources(loaded.files.folder(), adapter, options.model.chat_template);
    text.emplace(name, sources == loaded.text.sources
                           ? loaded.text
                           : load_tokenization(sources, loaded.files.layout().vocabulary_size));
  }

  void activate(const std::string& name) {
    const Tokenization& own = text.at(name);
    settings.eos = ends_of_turns(loaded.source(), own);
    settings.adapter = adapter_id(loaded.model, name);
    active = name;
    const std::int64_t longest = loaded.model.layout().max_positions;
    context = longest > 0 ? std::min(options.context, longest) : options.context;
    sequence.reset();
    engine.emplace(loaded.model, own.tokenizer);
  }
};

Conversation::Conversation(const ChatOptions& options, Progress& progress) {
  check_model_options(options.model);
  generate::check_settings(options.settings);
  refuse_below_one(options.max_tokens, "max_tokens");
  refuse_below_one(options.context, "context");
  ModelInputs inputs = open_model(options.model);
  need_chat_template(inputs.text);
  const auto settings = generate::options_of(chat_settings(options, inputs.files.folder()));
  const auto further = read_adapters(options, inputs.files,
                                     inputs.adapter ? std::vector<std::string>{"base", "default"}
                                                    : std::vector<std::string>{"base"});
  LoadedModel loaded = load_model(std::move(inputs), progress);
  state_ =
      std::make_unique<State>(State{options, std::move(loaded), {}, {}, {}, {}, {}, {}, 0, {}, {}});
  State& s = *state_;
  s.weights = weights_read(s.loaded.source(), options.model);
  s.adapters = s.loaded.model.adapters();
  s.add_text("base", std::nullopt);
  for (const std::string& name : s.adapters) s.text.emplace(name, s.loaded.text);
  for (const auto& [name, folder, adapter] : further) {
    s.loaded.model.attach(name, adapter, false);
    s.add_text(name, folder);
    s.weights.emplace_back(folder);
    s.adapters.push_back(name);
  }
  s.loaded.model.set_training(false);
  s.settings = settings;
  s.settings.max_tokens = options.max_tokens;
  s.activate(s.loaded.adapter == model::kNoAdapter ? "base" : s.adapters.front());
  clear();
}

Conversation::~Conversation() = default;

generate::Result Conversation::say(const std::string& message, const generate::Sink& sink) {
  State& s = *state_;
  s.messages.push_back({"user", message});
  try {
    const Tokenization& text = s.text.at(s.active);
    auto prompt = prompt_of(text, s.messages);
    const std::int64_t needed = std::ssize(prompt) + s.settings.max_tokens;
    if (needed > s.context) {
      throw InputError({{}, "prompt"}, "expected at most " + std::to_string(s.context) +
                                           " tokens with the reply, found " +
                                           std::to_string(needed));
    }
    // The number of messages as the stream: another turn, other draws.
    generate::Request request{std::move(prompt), s.settings, sink, s.messages.size()};
    if (!s.sequence) {
      s.sequence = s.engine->add(std::move(request));
    } else {
      s.engine->go_on(*s.sequence, std::move(request));
    }
    while (!s.engine->finished(*s.sequence)) s.engine->step();
    generate::Result result = s.engine->result(*s.sequence);
    s.messages.push_back({"assistant", result.text});
    return result;
  } catch (const ComputationError&) {
    s.messages.pop_back();
    rethrow_at_largest(s.weights);
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
  state_->activate(name);
}

const Arithmetic& Conversation::arithmetic() const {
  return state_->loaded.arithmetic;
}

void Conversation::clear() {
  state_->messages.clear();
  if (!state_->options.system.empty()) {
    state_->messages.push_back({"system", state_->options.system});
  }
}

}  // namespace qloft::pipeline
