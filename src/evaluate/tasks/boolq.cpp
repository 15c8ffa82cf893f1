// BoolQ (Clark et al. 2019): passage, question, and label (0 or 1, as SuperGLUE has it) or answer
// (true or false).

#include "tasks/choice_row.h"

namespace qloft::evaluate {
namespace {

Question read_boolq(const io::Field& row) {
  const auto label = row.integer("label", 0, 1);
  const bool yes = label ? *label == 1 : row.at("answer").boolean();
  return question_of(
      row.at("passage").string() + "\nQuestion: " + row.at("question").string() + "?\nAnswer:",
      {"no", "yes"}, yes ? 1 : 0);
}

constexpr ChoiceForm kBoolq{"boolq", "BoolQ", read_boolq, false};

}  // namespace

Task boolq_task() {
  return choice_task<kBoolq>();
}

}  // namespace qloft::evaluate
