#pragma once
// Questions whose answers are parts of a context, as SQuAD publishes them, and the windows of ids
// that a model with a head for spans reads.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

struct SpanQuestion {
  std::string id;
  std::string question;                        // without white space before it
  std::shared_ptr<const std::string> context;  // of all questions of a paragraph
  std::vector<std::string> answers;            // none: it cannot be answered
  tokenizer::CharacterSpan first;              // the first answer, in the context
  ErrorLocation where;
};

// SQuAD's own JSON, 1.1 (Rajpurkar et al. 2016) or 2.0 (2018), or rows of the hub: id, context,
// question, answers.text and answers.answer_start. An answer_start counts characters, not bytes.
// `unanswerable`: questions may have no answers. Throws InputError naming file and place for a
// missing field, an answer that does not stand where it is said to, an id that stands twice, and a
// file without questions.
std::vector<SpanQuestion> read_span_questions(const std::filesystem::path& file, bool unanswerable);

struct WindowOptions {
  std::int64_t length = 384;         // ids of a window
  std::int64_t stride = 128;         // of the context, that a window shares with the one before
  std::int64_t vocabulary_size = 0;  // of the model; 0: any
};

// The question and a part of its context, as one sequence.
struct SpanWindow {
  std::size_t question = 0;  // its place
  std::vector<tokenizer::TokenId> ids;
  std::vector<std::int32_t> types;
  std::int64_t context_begin = 0;                  // the place of the context's first id
  std::vector<tokenizer::CharacterSpan> contexts;  // of each of its ids, in the context
  // The ids that the first answer begins and ends with; 0, the token before all, where the window
  // does not hold it whole.
  std::int64_t start = 0, end = 0;
};

// In the order of the questions, those of one side by side. Windows and positions are those of
// transformers' run_qa.py, but that an answer in the last word of a window begins there, not behind
// it. On all threads. Throws InputError naming the question that leaves no room for its context, or
// has an id that the model lacks or fewer than three.
std::vector<SpanWindow> encode_span_questions(const std::vector<SpanQuestion>& questions,
                                              const tokenizer::Tokenizer& tokenizer,
                                              const WindowOptions& options);

}  // namespace qloft::data
