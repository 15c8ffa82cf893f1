#include "problems.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/data.h"
#include "qloft/io.h"

namespace qloft::evaluate {
namespace {

std::string text_field(const io::Json& json, const char* name, const ErrorLocation& where) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) {
    throw InputError(where, std::string("expected a text field \"") + name + "\"");
  }
  return found->get<std::string>();
}

}  // namespace

std::vector<Problem> read_problems(const std::filesystem::path& file, std::int64_t limit) {
  if (!std::filesystem::is_regular_file(file)) throw InputError({file, {}}, "no such file");
  std::ifstream stream(file);
  std::vector<Problem> problems;
  std::string text;
  for (std::int64_t line = 1; std::getline(stream, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const io::Json json = io::parse_json(text, file, line);
    const ErrorLocation where{file, "line " + std::to_string(line)};
    if (!json.is_object()) throw InputError(where, "expected a JSON object");
    problems.push_back({text_field(json, "question", where), text_field(json, "answer", where)});
    if (limit > 0 && static_cast<std::int64_t>(problems.size()) == limit) break;
  }
  if (problems.empty()) throw InputError({file, {}}, "expected at least one problem, found none");
  return problems;
}

std::string few_shot_prefix(const std::filesystem::path& file, std::int64_t count) {
  if (count <= 0) return {};
  const auto examples = read_problems(file, count);
  if (std::ssize(examples) < count) {
    throw InputError({file, {}}, "expected " + std::to_string(count) + " worked examples, found " +
                                     std::to_string(examples.size()));
  }
  const data::DataOptions format;
  std::string prefix;
  for (const Problem& example : examples) {
    prefix += data::question_prompt(example.question, format) +
              data::question_completion(example.answer, format) + "\n\n";
  }
  return prefix;
}

}  // namespace qloft::evaluate
