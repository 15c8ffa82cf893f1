#pragma once
// The whole way from text to ids and back, as tokenizer.json describes it.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "added_tokens.h"
#include "decoder.h"
#include "fields.h"
#include "model.h"
#include "normalizer.h"
#include "post_processor.h"
#include "pre_tokenizer.h"

namespace qloft::tokenizer {

struct Pipeline {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Model model;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;

  // Makes tokens from beside the file known; those that no vocabulary holds get the next ids.
  void declare(const std::vector<AddedToken>& tokens);
  std::vector<TokenId> encode(std::string_view text, bool special) const;
  // One text or two, with types and offsets.
  Encoding encode(std::span<const std::string_view> texts, const EncodeOptions& options) const;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const;
  // The bytes that an id adds to decoded text, before the decoder looks at its neighbours.
  std::string bytes(TokenId id, bool skip_special) const;
  std::optional<TokenId> find(std::string_view token) const;
  const std::string* token(TokenId id) const;  // nullptr: no such id
  std::int64_t id_end() const;

 private:
  Encoding encode_text(std::string_view text, std::int32_t number) const;
  const std::string* decoded(TokenId id, bool skip_special) const;  // nullptr: left out
};

// Throws InputError naming file and field.
Pipeline read_tokenizer_json(const std::filesystem::path& file);
// The same of a document that is read already; `file` is named in errors.
Pipeline make_pipeline(const io::Json& json, const std::filesystem::path& file);

// A SentencePiece model: a unigram one as unigram_json (folder_files.h) has it, a BPE one taken
// apart as transformers' LlamaTokenizer does it: its pieces, merges in the order of the pieces'
// ids, U+2581 for spaces, byte fallback; control and user-defined pieces are found in the text.
// `config` is tokenizer_config.json, where there is one: legacy and add_prefix_space; `model_type`
// of config.json. `special` receives the names of its own pieces (bos_token, ...), no
// post-processor is set. Throws InputError naming the file and what is broken or no BPE.
Pipeline read_sentencepiece(const std::filesystem::path& file, const std::optional<Field>& config,
                            std::string_view model_type,
                            std::map<std::string, std::string>& special);

}  // namespace qloft::tokenizer
