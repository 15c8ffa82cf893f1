#pragma once
// Folders without tokenizer.json: what transformers 5 makes of BERT's vocab.txt and of unigram
// models of SentencePiece, as a tokenizer.json.

#include <filesystem>
#include <optional>

#include "fields.h"
#include "sentencepiece_file.h"

namespace qloft::tokenizer {

// A token a line, an id a line number. `config` is tokenizer_config.json, where there is one:
// do_lower_case, tokenize_chinese_chars, strip_accents and the names of the special tokens. Throws
// InputError naming the file that cannot be read or is no UTF-8.
io::Json wordpiece_json(const std::filesystem::path& vocabulary_file,
                        const std::optional<Field>& config);

// By tokenizer_class of `config`, else by `model_type` of config.json: T5 and mT5, DeBERTa v2 and
// v3, XLM-RoBERTa. Throws InputError naming the file where it is another's.
io::Json unigram_json(const SentencePieceFile& source, const std::filesystem::path& file,
                      const std::optional<Field>& config, std::string_view model_type);

}  // namespace qloft::tokenizer
