#include "tokenization.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

std::optional<chat_template::ChatTemplate> load_chat(const fs::path& from,
                                                     const tokenizer::Tokenizer& tokenizer) {
  std::error_code error;
  if (fs::is_directory(from, error)) {
    return chat_template::ChatTemplate::load(from, tokenizer.special_tokens());
  }
  return chat_template::ChatTemplate::read(from, tokenizer.special_tokens());
}

void check_ids(const TextSources& sources, const tokenizer::Tokenizer& tokenizer,
               std::int64_t vocabulary_size) {
  if (vocabulary_size == 0 || tokenizer.vocabulary_size() <= vocabulary_size) return;
  if (sources.tokenizer == sources.model) return;  // its unused tokens may never occur
  const bool own = tokenizer::Tokenizer::main_file(sources.model).has_value();
  const std::int64_t known =
      own ? tokenizer::Tokenizer::load(sources.model).vocabulary_size() : vocabulary_size;
  const std::int64_t most = std::max(known, vocabulary_size);
  if (tokenizer.vocabulary_size() <= most) return;
  throw InputError({sources.tokenizer / *tokenizer::Tokenizer::main_file(sources.tokenizer), {}},
                   "expected ids below the " + std::to_string(vocabulary_size) +
                       " rows of the base's embedding, found tokens up to " +
                       std::to_string(tokenizer.vocabulary_size() - 1) +
                       ": the base was not resized for the tokens that were added (without the "
                       "tokenizer's files beside the adapter the base's own are used)");
}

}  // namespace

TextSources text_sources(const fs::path& model, const std::optional<fs::path>& adapter,
                         const fs::path& chat_template) {
  TextSources sources{model, model, model};
  if (adapter && tokenizer::Tokenizer::main_file(*adapter)) sources.tokenizer = *adapter;
  if (adapter && chat_template::ChatTemplate::is_in(*adapter)) sources.chat = *adapter;
  if (chat_template.empty()) return sources;
  std::error_code error;
  if (fs::is_directory(chat_template, error) &&
      !chat_template::ChatTemplate::is_in(chat_template)) {
    throw InputError({chat_template, {}}, "expected a chat template, found a folder without one");
  }
  sources.chat = chat_template;
  return sources;
}

Tokenization load_tokenization(const TextSources& sources, std::int64_t vocabulary_size) {
  auto tokenizer = tokenizer::Tokenizer::load(sources.tokenizer);
  check_ids(sources, tokenizer, vocabulary_size);
  auto chat = load_chat(sources.chat, tokenizer);
  return {sources, std::move(tokenizer), std::move(chat)};
}

void copy_texts(const TextSources& sources, const fs::path& to) {
  checkpoint::copy_tokenizer(sources.tokenizer, to);
  if (sources.chat == sources.tokenizer) {
    checkpoint::copy_chat_templates(sources.chat, to);
    return;
  }
  std::error_code error;
  if (fs::is_directory(sources.chat, error)) {
    if (const auto chat = chat_template::ChatTemplate::load(sources.chat, {})) chat->save(to);
  } else {
    chat_template::ChatTemplate::read(sources.chat, {}).save(to);
  }
}

void copy_texts_beside_adapter(const TextSources& sources, const fs::path& to) {
  copy_texts(sources, to);
  const chat_template::SpecialTokens known = tokenizer::Tokenizer::load(to).special_tokens();
  const fs::path file = to / "tokenizer_config.json";
  std::error_code error;
  io::Json config = fs::is_regular_file(file, error) ? io::read_json(file) : io::Json::object();
  bool changed = false;
  const chat_template::SpecialTokens named =
      tokenizer::Tokenizer::load(sources.tokenizer).special_tokens();
  for (const auto& [name, token] : named) {
    if (known.contains(name)) continue;
    config[name] = token;
    changed = true;
  }
  if (changed) io::write_json(file, config);
}

}  // namespace qloft::pipeline
