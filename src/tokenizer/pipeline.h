#pragma once
// The whole way from text to ids and back, as tokenizer.json describes it.

#include <filesystem>
#include <optional>

#include "added_tokens.h"
#include "bpe.h"
#include "decoder.h"
#include "fields.h"
#include "normalizer.h"
#include "post_processor.h"
#include "pre_tokenizer.h"

namespace qloft::tokenizer {

struct Pipeline {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe model;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  std::optional<TokenId> bos, eos, pad;

  std::vector<TokenId> encode(std::string_view text, bool special) const;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const;
  // The bytes that an id adds to decoded text, before the decoder looks at its neighbours.
  std::string bytes(TokenId id, bool skip_special) const;
  std::optional<TokenId> find(std::string_view token) const;
  const std::string* token(TokenId id) const;  // nullptr: no such id
  std::int64_t id_end() const;

 private:
  const std::string* decoded(TokenId id, bool skip_special) const;  // nullptr: left out
};

// Throws InputError naming file and field.
Pipeline read_tokenizer_json(const std::filesystem::path& file);
// The same of a document that is read already; `file` is named in errors.
Pipeline make_pipeline(const io::Json& json, const std::filesystem::path& file);

// A SentencePiece BPE model, taken apart as transformers' LlamaTokenizer does it: its pieces,
// merges in the order of the pieces' ids, U+2581 for spaces, byte fallback; control and
// user-defined pieces are found in the text. `config` is tokenizer_config.json, where there is one:
// legacy, add_prefix_space, add_bos_token (default true), add_eos_token, added_tokens_decoder.
// Throws InputError naming the file and what is broken or no BPE.
Pipeline read_sentencepiece(const std::filesystem::path& file, const std::optional<Field>& config);

// An entry of tokenizer.json's added_tokens or tokenizer_config.json's added_tokens_decoder.
AddedToken read_added_token(const Field& field);

}  // namespace qloft::tokenizer
