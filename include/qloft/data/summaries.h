#pragma once
// Texts with their summaries, and both as an encoder-decoder reads them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

struct SummarizedText {
  std::string document, summary;
  ErrorLocation where;
};

// Rows (data/rows.h) with the columns document and summary (XSum), article and highlights
// (CNN/DailyMail), or text and summary: the first of these pairs that the first row has. At most
// `limit` of them; 0: all. Throws InputError naming file, row and column for one that is missing or
// is no text, and for a file without rows.
std::vector<SummarizedText> read_summaries(const std::filesystem::path& file,
                                           std::int64_t limit = 0);

// What config.json has such a model read before each document, as T5's
// (task_specific_params.summarization.prefix); empty: nothing. `file`: the config's, for messages.
std::string summary_prefix(const io::Json& config, const std::filesystem::path& file);

// A source and the target that is made of it, with the tokenizer's special tokens.
struct SequencePair {
  std::vector<tokenizer::TokenId> source, target;
  bool truncated = false;  // the source was
};

struct PairOptions {
  std::string prefix = {};  // before each document
  // Of documents and summaries, as in qloft/tokenizer/language.h; empty: the tokenizer's own.
  std::string source_language = {}, target_language = {};
  // Ids at most, special ones included; what is longer is cut at its end.
  std::int64_t source_length = 1024, target_length = 128;
  std::int64_t vocabulary_size = 0;  // as in data/known_ids.h
};

// In their order, on all threads. Throws InputError naming the place of a text with an id that the
// model has not, or without any, and of one whose special tokens alone are more than its length;
// naming the option for a language that the tokenizer has not.
std::vector<SequencePair> encode_summaries(const std::vector<SummarizedText>& texts,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const PairOptions& options);

}  // namespace qloft::data
