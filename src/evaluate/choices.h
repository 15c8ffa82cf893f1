#pragma once
// Questions with choices, answered by the likelihood of each choice behind the question, as
// lm-evaluation-harness 0.4 does it.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/evaluate.h"
#include "qloft/io/fields.h"

namespace qloft::evaluate {

struct Question {
  std::string subject = {};  // of mmlu; empty: there are none
  // What the model sees: one text for all choices, or one for each of them.
  std::vector<std::string> contexts;
  std::vector<std::string> continuations;  // of each choice, with the space before it
  std::vector<std::int64_t> lengths;       // characters of each choice, for the normalized score
  std::size_t right = 0;
  ErrorLocation where = {};
};

// With the context of all choices, and the choices behind it.
Question question_of(std::string context, const std::vector<std::string>& choices,
                     std::size_t right);

// A form of questions: what makes one of a row of JSON. Throws InputError naming the field.
using ReadQuestion = Question (*)(const io::Field& row);

// At most `limit` rows of a file; 0: all. Throws InputError naming file, row and field; where there
// is none.
std::vector<Question> read_questions(const std::filesystem::path& file, std::int64_t limit,
                                     ReadQuestion read);

// Questions, and the text before each by its subject: worked examples.
struct QuestionSet {
  std::vector<Question> questions;
  std::map<std::string, std::string> prefixes;
};

// The first `count` examples with their answers, a blank line behind each. Throws InputError naming
// `file` where there are fewer.
std::string worked_examples(const std::vector<Question>& examples, std::int64_t count,
                            const std::filesystem::path& file);

// One context and the choices whose likelihood behind it is asked for.
struct ChoiceItem {
  std::vector<std::int64_t> context;
  std::vector<std::vector<std::int64_t>> continuations;
  std::size_t question = 0, first_choice = 0;
};

struct EncodedQuestions {
  QuestionSet set;
  std::vector<ChoiceItem> items;  // in the order of the questions
  std::int64_t truncated = 0;     // questions whose beginning was cut off
};

// The ids of context and continuation are those of both together, cut where the context's own end.
// What exceeds the model's positions is cut off the beginning, for each choice alone. Throws
// InputError naming the question where an id is none of the model's.
EncodedQuestions encode_questions(const Materials& materials, QuestionSet set);

// Of each question the sums over the tokens of each choice of log p(token | all before it), natural
// log. `batch` contexts are taken in at once; what a context shares with the one before it in its
// place, from the beginning, is not computed again. Throws ComputationError naming the question
// where a sum is not finite.
std::vector<std::vector<double>> choice_log_likelihoods(const Subject& subject,
                                                        const EncodedQuestions& data,
                                                        std::int64_t batch, std::string_view task,
                                                        Progress& progress);

// The first choice of the greatest likelihood; `normalized`: by the choice's characters.
std::size_t chosen(const Question& question, const std::vector<double>& log_likelihoods,
                   bool normalized);

// A share and its standard error: sqrt(p (1 - p) / (n - 1)), 0 where n is 1.
struct Share {
  std::int64_t right = 0, total = 0;
  double value() const;
  double error() const;
};

// A line a question: its likelihoods, the choice and the right one.
void write_choices(const std::filesystem::path& file, const EncodedQuestions& data,
                   const std::vector<std::vector<double>>& log_likelihoods);

}  // namespace qloft::evaluate
