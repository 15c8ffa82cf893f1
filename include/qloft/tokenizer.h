#pragma once
// Text to ids and back, as Hugging Face's tokenizers does it.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/tokenizer/encoding.h"

namespace qloft::tokenizer {

// tokenizer.json (BPE, WordPiece or Unigram), or where there is none a SentencePiece model
// (tokenizer.model, spiece.model, spm.model, sentencepiece.bpe.model) or BERT's vocab.txt, taken
// apart as transformers does it; with the tokens that tokenizer_config.json,
// special_tokens_map.json and added_tokens.json declare beside it, as transformers 5 reads them:
// those that no vocabulary holds get the next ids. Immutable: one object serves all threads. Cheap
// to copy.
class Tokenizer {
 public:
  // Throws InputError naming the file and the field of what is missing, broken or not supported.
  static Tokenizer load(const std::filesystem::path& model_folder);
  // The name of the file that load() would begin with; empty where the folder has none.
  static std::optional<std::string> main_file(const std::filesystem::path& folder);

  // `special`: let the post-processor add its tokens (<s> ...). Special tokens that stand in the
  // text are recognised either way, as transformers does. Invalid UTF-8 becomes U+FFFD.
  std::vector<TokenId> encode(std::string_view text, bool special = true) const;
  // The same with types and offsets, truncated as `options` say. Offsets count the characters of
  // the text after invalid UTF-8 was replaced. Throws InputError (no location) where max_length
  // leaves no room for what is not cut, or the stride is as long as what is left of the cut text.
  Encoding encode(std::string_view text, const EncodeOptions& options) const;
  Encoding encode_pair(std::string_view first, std::string_view second,
                       const EncodeOptions& options = {}) const;
  // What transformers' decode(ids, skip_special_tokens, clean_up_tokenization_spaces=False) gives.
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;

  std::int64_t vocabulary_size() const;  // the highest id + 1, added tokens included
  std::optional<TokenId> token_id(std::string_view token) const;
  std::string token(TokenId id) const;  // throws InputError if out of range
  bool is_special(TokenId id) const;
  // The tokens that the folder names: "eos_token" -> "</s>", ..., as transformers'
  // special_tokens_map. A chat template reads them.
  const std::map<std::string, std::string>& special_tokens() const;
  // Their ids; empty where the folder names none.
  std::optional<TokenId> bos() const { return named("bos_token"); }
  std::optional<TokenId> eos() const { return named("eos_token"); }
  std::optional<TokenId> pad() const { return named("pad_token"); }

 private:
  std::optional<TokenId> named(const char* name) const;

  friend class StreamDecoder;
  friend struct Language language_of(const Tokenizer&, std::string_view, const char*);
  friend Tokenizer in_language(const Tokenizer&, std::string_view, const char*);
  friend Tokenizer for_targets(const Tokenizer&, std::string_view, const char*);
  struct State;
  std::shared_ptr<const State> state_;
};

// Decodes id by id; push() gives back the text that is complete, never a broken character.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true);
  // Ids that came before the stream (a prompt): their text is not returned again, but for a
  // character that the stream completes.
  void prime(std::span<const TokenId> ids);
  std::string push(TokenId id);
  std::string finish();  // what is still held back

 private:
  std::size_t unfinished_tail() const;  // bytes of a character that is not whole yet
  void prepend_tail(const std::vector<TokenId>& ids, std::string& tail) const;
  std::string decode_all() const;
  std::string advance();

  Tokenizer tokenizer_;
  bool skip_special_;
  std::vector<TokenId> context_;  // given out already; decoding what follows depends on it
  std::vector<TokenId> fresh_;    // since the last clean cut between characters
  std::string emitted_;           // what was given out of context_ and fresh_
};

}  // namespace qloft::tokenizer
