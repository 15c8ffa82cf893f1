#pragma once
// Which tokenizer and which chat template go with a model and its adapter: those that were saved
// beside the adapter, if any, before the model's own.

#include <cstdint>
#include <filesystem>
#include <optional>

#include "qloft/chat_template.h"
#include "qloft/tokenizer.h"

namespace qloft::pipeline {

struct TextSources {
  std::filesystem::path model;      // the base's folder
  std::filesystem::path tokenizer;  // the folder of the tokenizer
  std::filesystem::path chat;       // the folder, or file, of the chat template
  bool operator==(const TextSources&) const = default;
};

// `chat_template`: a file, or a folder that has one, which is taken in any case; empty: none.
TextSources text_sources(const std::filesystem::path& model,
                         const std::optional<std::filesystem::path>& adapter,
                         const std::filesystem::path& chat_template);

struct Tokenization {
  TextSources sources;
  tokenizer::Tokenizer tokenizer;
  std::optional<chat_template::ChatTemplate> chat;
};

// Throws InputError where a tokenizer beside an adapter has ids that neither the embedding of
// `vocabulary_size` rows nor the model's own tokenizer has.
Tokenization load_tokenization(const TextSources& sources, std::int64_t vocabulary_size);

// Writes tokenizer and chat template into a folder, as copies where that is possible.
void copy_texts(const TextSources& sources, const std::filesystem::path& to);
// The same beside an adapter: there tokens that only the model's config.json gives a name (by its
// model_type) are named.
void copy_texts_beside_adapter(const TextSources& sources, const std::filesystem::path& to);

}  // namespace qloft::pipeline
