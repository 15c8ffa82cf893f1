#include "problems.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/data.h"
#include "qloft/data/rows.h"
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
  const data::Rows rows(file);
  const std::int64_t count = limit > 0 ? std::min(limit, rows.size()) : rows.size();
  std::vector<Problem> problems;
  for (std::int64_t i = 0; i < count; ++i) {
    const io::Json json = rows.read(i);
    const ErrorLocation where = rows.location(i);
    if (!json.is_object()) throw InputError(where, "expected a JSON object");
    problems.push_back({text_field(json, "question", where), text_field(json, "answer", where)});
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
