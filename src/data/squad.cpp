#include "qloft/data/squad.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "qloft/core/threads.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/rows.h"
#include "qloft/io/fields.h"

namespace qloft::data {
namespace {

using tokenizer::CharacterSpan;
using tokenizer::Encoding;

constexpr std::int64_t kMostCharacters = std::int64_t{1} << 30;

std::int32_t count_characters(std::string_view text) {
  return static_cast<std::int32_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// As Python's lstrip.
std::string_view without_space_before(std::string_view text) {
  using namespace std::string_view_literals;
  constexpr std::array kSpaces = {
      "\t"sv,           "\n"sv,           "\v"sv,           "\f"sv,           "\r"sv,
      "\x1c"sv,         "\x1d"sv,         "\x1e"sv,         "\x1f"sv,         " "sv,
      "\xC2\x85"sv,     "\xC2\xA0"sv,     "\xE1\x9A\x80"sv, "\xE2\x80\x80"sv, "\xE2\x80\x81"sv,
      "\xE2\x80\x82"sv, "\xE2\x80\x83"sv, "\xE2\x80\x84"sv, "\xE2\x80\x85"sv, "\xE2\x80\x86"sv,
      "\xE2\x80\x87"sv, "\xE2\x80\x88"sv, "\xE2\x80\x89"sv, "\xE2\x80\x8A"sv, "\xE2\x80\xA8"sv,
      "\xE2\x80\xA9"sv, "\xE2\x80\xAF"sv, "\xE2\x81\x9F"sv, "\xE3\x80\x80"sv};
  const auto first = [&] {
    return std::ranges::find_if(kSpaces, [&](auto space) { return text.starts_with(space); });
  };
  for (auto found = first(); found != kSpaces.end(); found = first()) {
    text.remove_prefix(found->size());
  }
  return text;
}

// An answer must stand in the context where it is said to.
void add_answer(SpanQuestion& question, std::string text, const io::Field& place) {
  const std::int64_t begin = place.integer(0, kMostCharacters);
  if (text.empty()) place.fail("expected an answer of one character at least, found none");
  const CharacterSpan span{static_cast<std::int32_t>(begin),
                           static_cast<std::int32_t>(begin) + count_characters(text)};
  const std::string_view found = tokenizer::characters(*question.context, span);
  if (found != text) {
    place.fail("expected '" + text + "' there in the context, found '" + std::string(found) + "'");
  }
  if (question.answers.empty()) question.first = span;
  question.answers.push_back(std::move(text));
}

class QuestionReader {
 public:
  explicit QuestionReader(bool unanswerable) : unanswerable_(unanswerable) {}

  // An article of SQuAD's own file, or a row of the hub.
  void read(const io::Field& row) {
    const auto paragraphs = row.find("paragraphs");
    if (!paragraphs) {
      read_row(row);
      return;
    }
    for (const io::Field& paragraph : paragraphs->elements()) {
      const auto context = std::make_shared<const std::string>(paragraph.at("context").string());
      for (const io::Field& one : paragraph.at("qas").elements()) {
        SpanQuestion question = begin(one, context);
        for (const io::Field& answer : one.at("answers").elements()) {
          add_answer(question, answer.at("text").string(), answer.at("answer_start"));
        }
        finish(std::move(question), one);
      }
    }
  }

  std::vector<SpanQuestion> questions;

 private:
  void read_row(const io::Field& row) {
    SpanQuestion question =
        begin(row, std::make_shared<const std::string>(row.at("context").string()));
    const io::Field answers = row.at("answers");
    const auto texts = answers.at("text").strings();
    const auto places = answers.at("answer_start").elements();
    if (texts.size() != places.size()) {
      answers.fail("answer_start", "expected as many as texts, " + std::to_string(texts.size()) +
                                       ", found " + std::to_string(places.size()));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) add_answer(question, texts[i], places[i]);
    finish(std::move(question), row);
  }

  static SpanQuestion begin(const io::Field& row, std::shared_ptr<const std::string> context) {
    SpanQuestion question;
    question.id = row.at("id").string();
    question.question = without_space_before(row.at("question").string());
    question.context = std::move(context);
    question.where = row.where();
    return question;
  }

  void finish(SpanQuestion question, const io::Field& row) {
    if (question.answers.empty() && !unanswerable_) {
      row.fail("answers", "expected at least one, found none (questions without: squad_v2)");
    }
    if (!ids_.insert(question.id).second) {
      row.fail("id", "'" + question.id + "' stands twice in the file");
    }
    questions.push_back(std::move(question));
  }

  bool unanswerable_;
  std::unordered_set<std::string> ids_;
};

// [begin, end) of the ids of the second text.
std::pair<std::int64_t, std::int64_t> context_of(const Encoding& window) {
  const auto& sequence = window.sequence;
  const auto first = std::ranges::find(sequence, 1);
  const auto last = std::find(sequence.rbegin(), sequence.rend(), 1).base();
  if (first == sequence.end()) return {0, 0};
  return {first - sequence.begin(), last - sequence.begin()};
}

SpanWindow window_of(Encoding encoding, std::size_t place, const SpanQuestion& question) {
  const auto [begin, end] = context_of(encoding);
  SpanWindow out;
  out.question = place;
  out.ids = std::move(encoding.ids);
  out.types = std::move(encoding.type_ids);
  out.context_begin = begin;
  out.contexts.assign(encoding.offsets.begin() + begin, encoding.offsets.begin() + end);
  const auto& contexts = out.contexts;
  const CharacterSpan answer = question.first;
  const bool whole = !question.answers.empty() && !contexts.empty() &&
                     contexts.front().begin <= answer.begin && contexts.back().end >= answer.end;
  if (!whole) return out;
  const auto after =
      std::ranges::find_if(contexts, [&](CharacterSpan span) { return span.begin > answer.begin; });
  const auto before = std::find_if(contexts.rbegin(), contexts.rend(),
                                   [&](CharacterSpan span) { return span.end < answer.end; });
  out.start = begin + (after - contexts.begin()) - 1;
  out.end = begin + (before.base() - contexts.begin());
  return out;
}

std::vector<SpanWindow> windows_of(const std::vector<SpanQuestion>& questions, std::size_t place,
                                   const tokenizer::Tokenizer& tokenizer,
                                   const WindowOptions& options) {
  const SpanQuestion& question = questions[place];
  Encoding first;
  try {
    first = tokenizer.encode_pair(question.question, *question.context,
                                  {.truncation = tokenizer::Truncation::only_second,
                                   .max_length = options.length,
                                   .stride = options.stride});
  } catch (const InputError& error) {
    ErrorLocation where = question.where;
    where.field += ": question " + question.id;
    throw InputError(where, "leaves no room for its context in windows of " +
                                std::to_string(options.length) + " ids, stride " +
                                std::to_string(options.stride) + ": " + error.what());
  }
  std::vector<Encoding> further = std::move(first.overflow);
  std::vector<SpanWindow> out = {window_of(std::move(first), place, question)};
  for (Encoding& next : further) out.push_back(window_of(std::move(next), place, question));
  for (const SpanWindow& window : out) {
    expect_known_ids(window.ids, options.vocabulary_size, tokenizer, question.where);
    if (window.ids.size() < 3) {
      throw InputError(question.where, "expected at least three tokens, found " +
                                           std::to_string(window.ids.size()));
    }
  }
  return out;
}

}  // namespace

std::vector<SpanQuestion> read_span_questions(const std::filesystem::path& file,
                                              bool unanswerable) {
  const Rows rows(file);
  QuestionReader reader(unanswerable);
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const io::Json row = rows.read(i);
    reader.read(io::Field(row, rows.location(i)));
  }
  if (reader.questions.empty()) {
    throw InputError({file, {}}, "expected at least one question, found none");
  }
  return std::move(reader.questions);
}

std::vector<SpanWindow> encode_span_questions(const std::vector<SpanQuestion>& questions,
                                              const tokenizer::Tokenizer& tokenizer,
                                              const WindowOptions& options) {
  std::vector<std::vector<SpanWindow>> each(questions.size());
  parallel_for(std::ssize(questions), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      each[at] = windows_of(questions, at, tokenizer, options);
    }
  });
  std::vector<SpanWindow> out;
  for (auto& windows : each) std::ranges::move(windows, std::back_inserter(out));
  return out;
}

}  // namespace qloft::data
