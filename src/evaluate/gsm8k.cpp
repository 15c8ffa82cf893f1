#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/core/error.h"
#include "qloft/evaluate.h"
#include "qloft/generate.h"
#include "qloft/io.h"
#include "qloft/text/data.h"

namespace qloft::evaluate {
namespace {

struct Problem {
  std::string question;
  std::string answer;
};

std::string text_field(const io::Json& json, const char* name, const std::filesystem::path& file,
                       std::int64_t line) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) {
    throw InputError({file, "line " + std::to_string(line)},
                     std::string("expected a text field \"") + name + "\"");
  }
  return found->get<std::string>();
}

// At most `limit` problems of a JSON Lines file; 0: all.
std::vector<Problem> read_problems(const std::filesystem::path& file, std::int64_t limit) {
  if (!std::filesystem::is_regular_file(file)) throw InputError({file, {}}, "no such file");
  std::ifstream stream(file);
  std::vector<Problem> problems;
  std::string text;
  for (std::int64_t line = 1; std::getline(stream, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const io::Json json = io::parse_json(text, file, line);
    if (!json.is_object()) {
      throw InputError({file, "line " + std::to_string(line)}, "expected a JSON object");
    }
    problems.push_back(
        {text_field(json, "question", file, line), text_field(json, "answer", file, line)});
    if (limit > 0 && static_cast<std::int64_t>(problems.size()) == limit) break;
  }
  if (problems.empty()) throw InputError({file, {}}, "expected at least one problem, found none");
  return problems;
}

std::string few_shot_prefix(const ProblemOptions& options, const text::DataOptions& format) {
  if (options.few_shot == 0) return {};
  const auto examples = read_problems(options.few_shot_file, options.few_shot);
  if (static_cast<std::int64_t>(examples.size()) < options.few_shot) {
    throw InputError({options.few_shot_file, {}}, "expected " + std::to_string(options.few_shot) +
                                                      " worked examples, found " +
                                                      std::to_string(examples.size()));
  }
  std::string prefix;
  for (const Problem& example : examples) {
    prefix += text::question_prompt(example.question, format) + " " + example.answer + "\n\n";
  }
  return prefix;
}

}  // namespace

Accuracy gsm8k(model::Model& model, const text::Tokenizer& tokenizer,
               const std::filesystem::path& data, const ProblemOptions& options,
               const std::function<void(const Prediction&)>& sink, Progress& progress) {
  if (options.batch < 1) {
    throw InputError({{}, "batch"}, "expected at least 1, found " + std::to_string(options.batch));
  }
  const text::DataOptions format;
  const auto problems = read_problems(data, options.limit);
  const std::string prefix = few_shot_prefix(options, format);

  generate::Options generation;
  generation.max_tokens = options.max_tokens;
  generation.eos = options.eos;
  // With worked examples before it, a model that has no end token goes on with a question of its
  // own.
  if (options.few_shot > 0) generation.stop = {"\n\n", "\nQuestion:"};

  Accuracy accuracy;
  progress.begin("gsm8k", problems.size(), "problems");
  for (std::size_t first = 0; first < problems.size();
       first += static_cast<std::size_t>(options.batch)) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    const std::size_t last =
        std::min(problems.size(), first + static_cast<std::size_t>(options.batch));
    std::vector<std::vector<text::TokenId>> prompts;
    for (std::size_t i = first; i < last; ++i) {
      prompts.push_back(
          tokenizer.encode(prefix + text::question_prompt(problems[i].question, format)));
    }
    const auto results = generate::generate_batch(model, tokenizer, prompts, generation);
    for (std::size_t i = first; i < last; ++i) {
      const Problem& problem = problems[i];
      Prediction prediction;
      prediction.index = static_cast<std::int64_t>(i);
      prediction.question = problem.question;
      prediction.reference = problem.answer;
      prediction.answer = results[i - first].text;
      prediction.expected = final_number(problem.answer, options.rule);
      prediction.found = final_number(prediction.answer, options.rule);
      prediction.correct = prediction.expected && prediction.found == prediction.expected;
      accuracy.correct += prediction.correct ? 1 : 0;
      ++accuracy.total;
      if (sink) sink(prediction);
    }
    progress.update(last, std::to_string(accuracy.correct) + " of " +
                              std::to_string(accuracy.total) + " right");
  }
  progress.end();
  const double n = static_cast<double>(accuracy.total);
  accuracy.accuracy = static_cast<double>(accuracy.correct) / n;
  accuracy.standard_error = std::sqrt(accuracy.accuracy * (1 - accuracy.accuracy) / n);
  return accuracy;
}

}  // namespace qloft::evaluate
