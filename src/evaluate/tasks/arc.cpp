// ARC (Clark et al. 2018), easy and challenge, as the hub has it: question, choices.text,
// choices.label, answerKey.

#include <algorithm>

#include "tasks/choice_row.h"

namespace qloft::evaluate {
namespace {

Question read_arc(const io::Field& row) {
  const io::Field choices = row.at("choices");
  const auto texts = choices.at("text").strings();
  const auto labels = choices.at("label").strings();
  if (labels.size() != texts.size() || labels.empty()) {
    choices.at("label").fail("expected one for each text, found " + std::to_string(labels.size()) +
                             " for " + std::to_string(texts.size()));
  }
  const io::Field key = row.at("answerKey");
  const auto right = std::ranges::find(labels, key.string());
  if (right == labels.end()) key.refuse("one of choices.label");
  return question_of("Question: " + row.at("question").string() + "\nAnswer:", texts,
                     static_cast<std::size_t>(right - labels.begin()));
}

constexpr ChoiceForm kEasy{"arc_easy", "ARC easy", read_arc, true};
constexpr ChoiceForm kChallenge{"arc_challenge", "ARC challenge", read_arc, true};

}  // namespace

Task arc_easy_task() {
  return choice_task<kEasy>();
}

Task arc_challenge_task() {
  return choice_task<kChallenge>();
}

}  // namespace qloft::evaluate
