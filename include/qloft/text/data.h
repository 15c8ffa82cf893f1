#pragma once
// Training and evaluation data: JSON Lines to examples of ids with a loss mask, and examples to
// batches.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/text/chat.h"
#include "qloft/text/tokenizer.h"

namespace qloft::text {

// One sequence. learn[i] != 0: the prediction of ids[i] counts in the loss.
struct Example {
  std::vector<TokenId> ids;
  std::vector<std::uint8_t> learn;
  bool truncated = false;
};

struct DataOptions {
  std::int64_t max_length = 1024;
  bool append_eos = true;  // after text, completions and answers
  // What stands around a question and its answer; the recipe's own when empty is not meant.
  std::string question_prefix = "Question: ";
  std::string answer_prefix = "\nAnswer: ";
};

// Turns one line of JSON into an example. Fields, the first that fits: `messages` (chat template,
// loss on assistant turns only), `prompt` + `completion`, `question` + `answer` (loss on the second
// part only), `text` (loss on everything). Throws InputError naming file and line.
class ExampleReader {
 public:
  ExampleReader(Tokenizer tokenizer, std::optional<ChatTemplate> chat, DataOptions options);
  Example read(const std::string& line, const std::filesystem::path& file,
               std::int64_t line_number) const;

 private:
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  DataOptions options_;
};

// The lines of several .jsonl files, indexed by offset and read when asked for: memory is 8 bytes a
// line.
class DataSet {
 public:
  DataSet(std::vector<std::filesystem::path> files, ExampleReader reader);
  std::int64_t size() const;
  Example get(std::int64_t index) const;
  // The last `share` of a seeded permutation goes to the second index list.
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
// segment changes there).
struct Batch {
  std::int64_t rows = 0;
  std::int64_t length = 0;
  std::vector<TokenId> ids;             // [rows, length]
  std::vector<std::uint8_t> learn;      // [rows, length]
  std::vector<std::int32_t> positions;  // [rows, length]
  std::vector<std::int32_t> segments;   // [rows, length]; -1: padding
  std::int64_t tokens() const;          // without padding
  std::int64_t learned() const;  // predictions that count: learn[i] with i > 0 in its segment
};

enum class Batching { padded, packed };

Batch make_padded_batch(const std::vector<Example>& examples, TokenId pad);
// First-fit decreasing into rows of `length`.
std::vector<Batch> make_packed_batches(const std::vector<Example>& examples, std::int64_t length,
                                       std::int64_t rows, TokenId pad);

}  // namespace qloft::text
