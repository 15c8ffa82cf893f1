#include <nlohmann/json.hpp>

#include "declared_tokens.h"
#include "pipeline.h"
#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

Vocabulary read_vocabulary(const Field& field) {
  const io::Json& json = field.json();
  if (!json.is_object()) field.refuse("an object of tokens and ids");
  Vocabulary vocabulary;
  vocabulary.reserve(json.size());
  const std::int64_t limit = Vocabulary::id_limit(json.size());
  for (const auto& [token, id] : json.items()) {
    const Field entry(id, field.file(), field.path());
    if (!id.is_number_integer() || entry.integer() < 0 || entry.integer() >= limit) {
      Field(id, field.file(), field.path() + "[\"" + token + "\"]")
          .refuse("an id from 0 to " + std::to_string(limit - 1));
    }
    vocabulary.add(token, static_cast<TokenId>(id.get<std::int64_t>()));
  }
  return vocabulary;
}

// "a b" or ["a", "b"].
std::vector<std::pair<std::string, std::string>> read_merges(const Field& field) {
  const io::Json& json = field.json();
  if (!json.is_array()) field.refuse("an array");
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    const io::Json& merge = json[i];
    if (merge.is_string()) {
      const std::string& text = merge.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const std::size_t space = text.find(' ');
      if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
        merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    Field(merge, field.file(), field.path() + "[" + std::to_string(i) + "]")
        .refuse("two tokens, as \"a b\" or [\"a\", \"b\"]");
  }
  return merges;
}

BpeOptions read_options(const Field& model) {
  if (const auto dropout = model.find("dropout")) {
    if (!dropout->json().is_number() || dropout->json().get<double>() != 0) {
      dropout->refuse("null or 0");
    }
  }
  BpeOptions options;
  options.unknown = model.string("unk_token").value_or("");
  options.continuing_prefix = model.string("continuing_subword_prefix").value_or("");
  options.end_suffix = model.string("end_of_word_suffix").value_or("");
  options.fuse_unknown = model.boolean("fuse_unk").value_or(false);
  options.byte_fallback = model.boolean("byte_fallback").value_or(false);
  options.ignore_merges = model.boolean("ignore_merges").value_or(false);
  return options;
}

Model read_bpe(const Field& model, PreTokenizer& pre_tokenizer) {
  BpeOptions options = read_options(model);
  options.raw_bytes = pre_tokenizer.ends_in_byte_level() && options.continuing_prefix.empty() &&
                      options.end_suffix.empty() && !options.byte_fallback;
  if (options.raw_bytes) pre_tokenizer.leave_raw_bytes();
  try {
    return Model(Bpe(read_vocabulary(model.at("vocab")), read_merges(model.at("merges")),
                     std::move(options)));
  } catch (const InputError& error) {
    if (!error.location().file.empty()) throw;
    // The model knows the field but not the file.
    const std::string message = error.what();
    throw InputError({model.file(), error.location().field},
                     message.substr(message.find(": ") + 2));
  }
}

Model read_wordpiece(const Field& model) {
  WordPiece::Options options;
  options.unknown = model.string("unk_token").value_or(options.unknown);
  options.continuing_prefix =
      model.string("continuing_subword_prefix").value_or(options.continuing_prefix);
  options.longest_word =
      model.integer("max_input_chars_per_word", 0).value_or(options.longest_word);
  return Model(WordPiece(read_vocabulary(model.at("vocab")), std::move(options)));
}

// [["<unk>", 0.0], ["the", -3.2], ...]: an id is a place.
Model read_unigram(const Field& model) {
  const std::vector<Field> entries = model.at("vocab").elements();
  if (entries.empty()) model.at("vocab").refuse("tokens with their scores");
  Vocabulary vocabulary;
  vocabulary.reserve(entries.size());
  std::vector<double> scores;
  scores.reserve(entries.size());
  for (const Field& entry : entries) {
    const auto pair = entry.elements();
    if (pair.size() != 2) entry.refuse("a token and its score");
    vocabulary.add(pair[0].string(), static_cast<TokenId>(scores.size()));
    scores.push_back(pair[1].number());
  }
  std::optional<TokenId> unknown;
  if (const auto id = model.integer("unk_id", 0, std::ssize(entries) - 1)) {
    unknown = static_cast<TokenId>(*id);
  }
  return Model(Unigram(std::move(vocabulary), std::move(scores), unknown,
                       model.boolean("byte_fallback").value_or(false)));
}

// Old files do not name the type.
std::size_t model_type(const Field& model) {
  if (const auto type = model.find("type")) return type->choice({"BPE", "WordPiece", "Unigram"});
  if (const auto vocabulary = model.find("vocab"); vocabulary && vocabulary->json().is_array()) {
    return 2;
  }
  return model.has("max_input_chars_per_word") ? 1 : 0;
}

Model read_model(const Field& model, PreTokenizer& pre_tokenizer) {
  switch (model_type(model)) {
    case 0:
      return read_bpe(model, pre_tokenizer);
    case 1:
      return read_wordpiece(model);
    default:
      return read_unigram(model);
  }
}

}  // namespace

Pipeline read_tokenizer_json(const std::filesystem::path& file) {
  return make_pipeline(io::read_json(file), file);
}

Pipeline make_pipeline(const io::Json& json, const std::filesystem::path& file) {
  const Field root(json, file);
  if (const auto version = root.find("version")) version->choice({"1.0"});
  Normalizer normalizer;
  if (const auto field = root.find("normalizer")) normalizer = Normalizer::read(*field);
  PreTokenizer pre_tokenizer;
  if (const auto field = root.find("pre_tokenizer")) pre_tokenizer = PreTokenizer::read(*field);
  Decoder decoder;
  if (const auto field = root.find("decoder")) decoder = Decoder::read(*field);
  Model model = read_model(root.at("model"), pre_tokenizer);
  AddedTokens added;
  if (const auto field = root.find("added_tokens")) {
    for (const Field& entry : field->elements()) {
      AddedToken token = read_added_token(entry);
      if (token.content.empty()) continue;
      added.add(std::move(token), model.vocabulary());
    }
    added.build(normalizer);
  }
  Pipeline pipeline{std::move(normalizer), std::move(pre_tokenizer), std::move(model),
                    std::move(added),      PostProcessor(),          std::move(decoder)};
  if (const auto field = root.find("post_processor")) {
    pipeline.post_processor = PostProcessor::read(*field, pipeline.id_end());
  }
  return pipeline;
}

}  // namespace qloft::tokenizer
