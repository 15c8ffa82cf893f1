#pragma once
// Training and evaluation data: JSON Lines or arrays to examples of ids with a loss mask, and
// examples to batches.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qloft/chat_template.h"
#include "qloft/core/error.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

// One sequence. loss_mask[i] != 0: the prediction of ids[i] counts in the loss. loss_mask and ids
// have the same length; the first id of a sequence is never predicted.
struct Example {
  std::vector<tokenizer::TokenId> ids;
  std::vector<std::uint8_t> loss_mask;
  bool truncated = false;
  std::int64_t dropped = 0;  // ids that truncation cut off the end
  // Nothing says that it ends: no end token behind its text or the last of what is learned.
  bool endless = false;
};

struct DataOptions {
  std::int64_t max_length = 1024;
  bool append_eos = true;  // after text, completions and answers (chat templates bring their own)
  std::optional<tokenizer::TokenId> end_token;  // what is appended; default: the tokenizer's eos
  std::int64_t vocabulary_size = 0;  // ids must lie below it; 0: any that the tokenizer gives
  // What stands around a question and its answer: "Question: {question}\nAnswer: {answer}".
  std::string question_prefix = "Question: ";
  std::string answer_prefix = "\nAnswer:";
  // Between answer_prefix and the answer. It belongs to the answer's side, because tokenizers glue
  // a space to the word that follows.
  std::string answer_separator = " ";
};

// What the model sees before it answers, the same in training and in evaluation:
// question_prefix + question + answer_prefix.
std::string question_prompt(const std::string& question, const DataOptions& options);
// What it should continue with: answer_separator + answer.
std::string question_completion(const std::string& answer, const DataOptions& options);

struct RowContent;
struct RowLocation;

// Turns a row of JSON into an example. Columns, the first that are all there and not null:
//   messages, or conversations (ShareGPT: from, value): the chat template, with `tools`,
//     `documents` and `chat_template_kwargs` where the row has them; loss on the assistant's
//     messages, or on those of any role that say so (train, training, weight, train_detail);
//   prompt and completion, as texts (loss on the completion) or as lists of messages (loss on the
//     assistant's messages of the completion);
//   instruction, input and output (Alpaca's own prompt), question and answer: loss on the second;
//   text: loss on everything.
//
// A prompt's ids are always those of tokenizer.encode(prompt), so that generation meets what
// training saw; the rest is the tail of encoding both parts at once, or, where the prompt's ids are
// not a prefix of that, the completion encoded on its own without an added space before it.
// A conversation's ids are those of the whole rendered text without added special tokens.
class ExampleReader {
 public:
  // Throws InputError where max_length is not positive.
  ExampleReader(tokenizer::Tokenizer tokenizer, std::optional<chat_template::ChatTemplate> chat,
                DataOptions options);
  // Throws InputError naming the file, where in it the row stands, and the field.
  Example read(const io::Json& row, const ErrorLocation& at) const;
  // A line of JSON Lines.
  Example read(const std::string& line, const std::filesystem::path& file,
               std::int64_t line_number) const;
  const DataOptions& options() const { return options_; }
  const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  // What is appended to text, completions and answers.
  std::optional<tokenizer::TokenId> end_token() const { return end_; }

 private:
  Example encode(const RowContent& row, const RowLocation& at) const;
  // The last of what is learned is an end, or nothing is learned.
  bool ends(const Example& example) const;

  tokenizer::Tokenizer tokenizer_;
  std::optional<chat_template::ChatTemplate> chat_;
  DataOptions options_;
  std::optional<tokenizer::TokenId> end_;
  bool chat_takes_parts_ = false;
};

// The rows of several files (qloft/data/rows.h), read when asked for. Immutable: one object serves
// all threads. Cheap to copy.
class DataSet {
 public:
  // Throws InputError naming the file that is missing, not regular, or (all of them) without a row.
  DataSet(const std::vector<std::filesystem::path>& files, ExampleReader reader);
  std::int64_t size() const;
  // 0 <= index < size(). Throws InputError naming file and row; SystemError where the file cannot
  // be read.
  Example get(std::int64_t index) const;
  // The same, in this order, on all threads.
  std::vector<Example> get(std::span<const std::int64_t> indices) const;
  // Where an example stands: its file, and "line N" or "element N".
  ErrorLocation location(std::int64_t index) const;
  const ExampleReader& reader() const;
  // The last `share` of a seeded permutation goes to the second index list (at least one example,
  // and never all); both ascending. Throws InputError unless 0 <= share < 1, or where there are too
  // few examples to share.
  struct Split {
    std::vector<std::int64_t> train, validation;
  };
  Split split(double validation_share, std::uint64_t seed) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// A batch of `rows` sequences of equal `length`, padded with `pad`. Packed rows hold several
// examples one behind the other: position restarts at 0 with each (and attention must not cross:
// segment changes there). loss_mask is 0 where nothing can be predicted: padding, and the first
// position of each segment.
struct Batch {
  std::int64_t rows = 0;
  std::int64_t length = 0;
  std::vector<tokenizer::TokenId> ids;  // [rows, length]
  std::vector<std::uint8_t> loss_mask;  // [rows, length]
  std::vector<std::int32_t> positions;  // [rows, length]; 0 in padding
  std::vector<std::int32_t> segments;   // [rows, length]; from 0 in each row; -1: padding
  std::int64_t tokens() const;          // without padding
  std::int64_t predictions() const;     // that count: loss_mask[i] with i > 0 in its segment
};

enum class Batching { padded, packed };

// As long as the longest example; row i holds examples[i].
Batch make_padded_batch(std::span<const Example> examples, tokenizer::TokenId pad);
// Batches of `rows` examples of similar length, the longest first (a machine that is too small says
// so at once); the last batch may have fewer rows.
std::vector<Batch> make_padded_batches(std::span<const Example> examples, std::int64_t rows,
                                       tokenizer::TokenId pad);
// One batch of rows of `length` in the order of the examples: a row ends where the next one does
// not fit. Examples that were laid into rows before take no more rows than those. Throws InputError
// where an example is longer than a row.
Batch make_packed_batch(std::span<const Example> examples, std::int64_t length,
                        tokenizer::TokenId pad);
// First-fit decreasing into rows of `length`; the last batch may have fewer rows. Examples without
// ids are left out. Throws InputError where an example is longer than a row.
std::vector<Batch> make_packed_batches(std::span<const Example> examples, std::int64_t length,
                                       std::int64_t rows, tokenizer::TokenId pad);

}  // namespace qloft::data
