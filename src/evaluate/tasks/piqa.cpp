// PIQA (Bisk et al. 2020): goal, sol1, sol2, label.

#include "tasks/choice_row.h"

namespace qloft::evaluate {
namespace {

Question read_piqa(const io::Field& row) {
  return question_of("Question: " + row.at("goal").string() + "\nAnswer:",
                     {row.at("sol1").string(), row.at("sol2").string()},
                     static_cast<std::size_t>(row.at("label").integer(0, 1)));
}

constexpr ChoiceForm kPiqa{"piqa", "PIQA", read_piqa, true};

}  // namespace

Task piqa_task() {
  return choice_task<kPiqa>();
}

}  // namespace qloft::evaluate
