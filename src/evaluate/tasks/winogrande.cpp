// WinoGrande (Sakaguchi et al. 2020): sentence with a blank "_", option1, option2, answer "1" or
// "2". The choices fill the blank, and what stands behind it is scored (partial evaluation).

#include <nlohmann/json.hpp>

#include "tasks/choice_row.h"
#include "text.h"

namespace qloft::evaluate {
namespace {

Question read_winogrande(const io::Field& row) {
  const io::Field field = row.at("sentence");
  const std::string sentence = field.string();
  const std::size_t blank = sentence.find('_');
  if (blank == std::string::npos) field.refuse("a sentence with a blank \"_\"");
  Question question;
  for (const char* option : {"option1", "option2"}) {
    question.contexts.push_back(sentence.substr(0, blank) + row.at(option).string());
    question.continuations.push_back(" " + stripped(sentence.substr(blank + 1)));
    question.lengths.push_back(1);
  }
  const io::Field answer = row.at("answer");
  question.right = answer.json().is_string() ? answer.choice({"1", "2"})
                                             : static_cast<std::size_t>(answer.integer(1, 2) - 1);
  return question;
}

constexpr ChoiceForm kWinogrande{"winogrande", "WinoGrande", read_winogrande, false};

}  // namespace

Task winogrande_task() {
  return choice_task<kWinogrande>();
}

}  // namespace qloft::evaluate
