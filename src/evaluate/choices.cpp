#include "choices.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "qloft/core/file.h"
#include "qloft/core/threads.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/rows.h"
#include "qloft/io.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;
using tokenizer::TokenId;

std::int64_t characters_in(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// How many ids the tokenizer puts behind a text.
std::size_t ids_behind(const tokenizer::Tokenizer& tokenizer) {
  const auto encoding = tokenizer.encode("a", tokenizer::EncodeOptions());
  std::size_t count = 0;
  while (count < encoding.special.size() &&
         encoding.special[encoding.special.size() - 1 - count] != 0) {
    ++count;
  }
  return count;
}

class ChoiceEncoder {
 public:
  explicit ChoiceEncoder(const Materials& materials)
      : materials_(materials), behind_(ids_behind(materials.tokenizer)) {}

  // True where a beginning was cut off.
  bool encode(const Question& question, const std::string& prefix, std::size_t index,
              std::vector<ChoiceItem>& items) const {
    bool cut = false;
    const std::size_t first = items.size();
    std::string context, spaces;
    for (std::size_t i = 0; i < question.continuations.size(); ++i) {
      if (i == 0 || question.contexts.size() > 1) {
        // Spaces at its end belong to the choice: tokenizers glue them to what follows.
        context = prefix + question.contexts[i];
        const std::size_t end = context.find_last_not_of(" \t\n\r\f\v") + 1;
        spaces = context.substr(end);
        context.resize(end);
        items.push_back({ids_of(context, question), {}, index, i});
        if (items.back().context.empty()) {
          throw InputError(question.where, "expected a question of one token at least, found none");
        }
      }
      ChoiceItem& item = items.back();
      auto whole = ids_of(context + spaces + question.continuations[i], question);
      const auto begin = std::min(item.context.size(), whole.size());
      item.continuations.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                                      whole.end());
    }
    for (std::size_t i = first; i < items.size(); ++i) {
      if (excess(items[i], longest(items[i])) <= 0) continue;
      cut = true;
      split(items, i);
    }
    return cut;
  }

 private:
  std::vector<std::int64_t> ids_of(const std::string& text, const Question& question) const {
    auto ids = materials_.tokenizer.encode(text);
    ids.resize(ids.size() - std::min(ids.size(), behind_));
    data::expect_known_ids(ids, materials_.layout.vocabulary_size, materials_.tokenizer,
                           question.where);
    return {ids.begin(), ids.end()};
  }
  static std::int64_t longest(const ChoiceItem& item) {
    std::int64_t most = 0;
    for (const auto& ids : item.continuations) most = std::max(most, std::ssize(ids));
    return most;
  }
  // Positions beyond the model's; the last id of a continuation takes none.
  std::int64_t excess(const ChoiceItem& item, std::int64_t continuation) const {
    const std::int64_t most = materials_.layout.max_positions;
    return most <= 0 ? 0 : std::ssize(item.context) + continuation - 1 - most;
  }
  // A context for each choice, cut for it.
  void split(std::vector<ChoiceItem>& items, std::size_t& at) const {
    const ChoiceItem whole = std::move(items[at]);
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
    for (std::size_t i = 0; i < whole.continuations.size(); ++i, ++at) {
      ChoiceItem one{
          whole.context, {whole.continuations[i]}, whole.question, whole.first_choice + i};
      // One id stays: the first of the choice is predicted from it.
      const auto dropped = std::clamp<std::int64_t>(
          excess(whole, std::ssize(whole.continuations[i])), 0, std::ssize(one.context) - 1);
      one.context.erase(one.context.begin(), one.context.begin() + dropped);
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), std::move(one));
    }
    --at;
  }

  const Materials& materials_;
  std::size_t behind_;
};

}  // namespace

Question question_of(std::string context, const std::vector<std::string>& choices,
                     std::size_t right) {
  Question question;
  question.contexts = {std::move(context)};
  for (const std::string& choice : choices) {
    question.continuations.push_back(" " + choice);
    question.lengths.push_back(characters_in(choice));
  }
  question.right = right;
  return question;
}

std::vector<Question> read_questions(const fs::path& file, std::int64_t limit, ReadQuestion read) {
  const data::Rows rows(file);
  const std::int64_t count = limit > 0 ? std::min(limit, rows.size()) : rows.size();
  std::vector<Question> questions;
  for (std::int64_t i = 0; i < count; ++i) {
    const io::Json json = rows.read(i);
    questions.push_back(read(io::Field(json, rows.location(i))));
    questions.back().where = rows.location(i);
  }
  if (questions.empty()) throw InputError({file, {}}, "expected at least one question, found none");
  return questions;
}

std::string worked_examples(const std::vector<Question>& examples, std::int64_t count,
                            const fs::path& file) {
  if (std::ssize(examples) < count) {
    throw InputError({file, {}}, "expected " + std::to_string(count) + " worked examples, found " +
                                     std::to_string(examples.size()));
  }
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) {
    const Question& example = examples[static_cast<std::size_t>(i)];
    text += example.contexts[example.contexts.size() > 1 ? example.right : 0] +
            example.continuations[example.right] + "\n\n";
  }
  return text;
}

EncodedQuestions encode_questions(const Materials& materials, QuestionSet set) {
  const ChoiceEncoder encoder(materials);
  EncodedQuestions data{std::move(set), {}, 0};
  const auto& questions = data.set.questions;
  std::vector<std::vector<ChoiceItem>> items(questions.size());
  std::atomic<std::int64_t> truncated = 0;
  parallel_for(std::ssize(questions), 16, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const auto prefix = data.set.prefixes.find(questions[i].subject);
      const std::string before = prefix == data.set.prefixes.end() ? "" : prefix->second;
      truncated += encoder.encode(questions[i], before, i, items[i]) ? 1 : 0;
    }
  });
  for (auto& of_question : items) {
    std::ranges::move(of_question, std::back_inserter(data.items));
  }
  data.truncated = truncated;
  return data;
}

std::size_t chosen(const Question& question, const std::vector<double>& log_likelihoods,
                   bool normalized) {
  std::size_t best = 0;
  const auto score = [&](std::size_t i) {
    return normalized ? log_likelihoods[i] / static_cast<double>(question.lengths[i])
                      : log_likelihoods[i];
  };
  for (std::size_t i = 1; i < log_likelihoods.size(); ++i) {
    if (score(i) > score(best)) best = i;
  }
  return best;
}

double Share::value() const {
  return static_cast<double>(right) / static_cast<double>(total);
}

double Share::error() const {
  return total < 2 ? 0 : std::sqrt(value() * (1 - value()) / static_cast<double>(total - 1));
}

void write_choices(const fs::path& path, const EncodedQuestions& data,
                   const std::vector<std::vector<double>>& log_likelihoods) {
  AtomicFile file(path);
  for (std::size_t i = 0; i < log_likelihoods.size(); ++i) {
    const Question& question = data.set.questions[i];
    const std::size_t choice = chosen(question, log_likelihoods[i], false);
    io::Json line = {{"index", i}};
    if (!question.subject.empty()) line["subject"] = question.subject;
    line["log_likelihoods"] = log_likelihoods[i];
    line["chosen"] = choice;
    line["right"] = question.right;
    line["correct"] = choice == question.right;
    file.append(line.dump() + "\n");
  }
  file.commit();
}

}  // namespace qloft::evaluate
