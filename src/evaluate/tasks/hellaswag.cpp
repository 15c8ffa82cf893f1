// HellaSwag (Zellers et al. 2019): activity_label, ctx_a, ctx_b, endings, label.

#include <charconv>
#include <nlohmann/json.hpp>

#include "qloft/tokenizer/lowercase.h"
#include "tasks/choice_row.h"
#include "text.h"

namespace qloft::evaluate {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Brackets are marks of the WikiHow part.
std::string without_brackets(std::string text) {
  text = stripped(text);
  replace_all(text, " [title]", ". ");
  for (std::size_t at = 0; (at = text.find('[', at)) != std::string::npos;) {
    const std::size_t end = text.find_first_of("]\n", at);
    if (end != std::string::npos && text[end] == ']') {
      text.erase(at, end + 1 - at);
    } else {
      ++at;
    }
  }
  replace_all(text, "  ", " ");
  return text;
}

// Python's capitalize(), of a text whose first letter is ASCII.
std::string capitalized(const std::string& text) {
  std::string result = tokenizer::lowercase(text);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') {
    result[0] = static_cast<char>(result[0] - 'a' + 'A');
  }
  return result;
}

std::size_t read_label(const io::Field& field, std::size_t choices) {
  const auto most = static_cast<std::int64_t>(choices) - 1;
  if (!field.json().is_string()) return static_cast<std::size_t>(field.integer(0, most));
  const std::string text = field.string();
  std::int64_t label = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (error != std::errc() || end != text.data() + text.size() || label < 0 || label > most) {
    field.refuse("a number from 0 to " + std::to_string(most));
  }
  return static_cast<std::size_t>(label);
}

Question read_hellaswag(const io::Field& row) {
  std::vector<std::string> endings;
  for (const std::string& ending : row.at("endings").strings()) {
    endings.push_back(without_brackets(ending));
  }
  if (endings.empty()) row.at("endings").refuse("endings");
  const std::string context = row.at("activity_label").string() + ": " + row.at("ctx_a").string() +
                              " " + capitalized(row.at("ctx_b").string());
  return question_of(without_brackets(context), endings,
                     read_label(row.at("label"), endings.size()));
}

constexpr ChoiceForm kHellaswag{"hellaswag", "HellaSwag", read_hellaswag, true};

}  // namespace

Task hellaswag_task() {
  return choice_task<kHellaswag>();
}

}  // namespace qloft::evaluate
