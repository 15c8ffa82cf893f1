// GSM8K (Cobbe et al. 2021): greedy continuations of each question, exact match of the final
// number.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "problems.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/data.h"
#include "qloft/evaluate.h"
#include "qloft/generate.h"
#include "qloft/io.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

struct Gsm8kOptions {
  std::int64_t limit = 0;
  std::string rule = "hashes";
  std::int64_t few_shot = 0;
  fs::path few_shot_data;
  std::int64_t max_tokens = 256;
  std::int64_t batch = 16;
  fs::path predictions;
};

template <typename Visitor>
void visit_options(Gsm8kOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--rule", o.rule, "hashes (the number after ####) or last-number");
  v("--few-shot", o.few_shot, "worked examples before each question");
  v("--few-shot-data", o.few_shot_data, "where they come from (JSON Lines)");
  v("--max-tokens", at_most(o.max_tokens, kMostTokens), "tokens an answer may have");
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--predictions", o.predictions, kPredictionsHelp);
}

AnswerRule rule_of(const std::string& name) {
  if (name == "hashes") return AnswerRule::hashes;
  if (name == "last-number") return AnswerRule::last_number;
  throw InputError({{}, "rule"}, "expected hashes or last-number, found '" + name + "'");
}

std::int64_t without_number(const std::vector<Problem>& problems, AnswerRule rule) {
  return std::ranges::count_if(
      problems, [&](const Problem& problem) { return !final_number(problem.answer, rule); });
}

// A reference without a number can never be matched: a perfect model would be wrong there too.
void check_references(const Gsm8kOptions& options, const fs::path& data, Progress& progress) {
  const AnswerRule rule = rule_of(options.rule);
  const auto problems = read_problems(data, options.limit);
  const std::int64_t unscorable = without_number(problems, rule);
  if (unscorable == 0) return;
  std::string text = std::to_string(unscorable) + " of " + std::to_string(problems.size()) +
                     " references hold no number under the rule " + options.rule;
  if (rule == AnswerRule::hashes &&
      without_number(problems, AnswerRule::last_number) < unscorable) {
    text += "; --rule last-number would read " +
            std::to_string(unscorable - without_number(problems, AnswerRule::last_number));
  }
  if (unscorable == std::ssize(problems)) throw InputError({data, "answer"}, text);
  progress.warn(data.string() + ": " + text + "; they count as wrong");
}

void check_problems(const Gsm8kOptions& options, const fs::path& data, std::int64_t,
                    Progress& progress) {
  expect_at_least(1, options.batch, "batch");
  expect_at_least(0, options.few_shot, "few_shot");
  expect_at_least(0, options.max_tokens, "max_tokens");
  if (options.few_shot > 0 && options.few_shot_data.empty()) {
    throw InputError({{}, "few_shot_data"}, "few-shot evaluation needs a file of examples");
  }
  few_shot_prefix(options.few_shot_data, options.few_shot);
  check_references(options, data, progress);
}

bool is_correct(const Problem& problem, const std::string& answer, AnswerRule rule) {
  const auto expected = final_number(problem.answer, rule);
  return expected && final_number(answer, rule) == expected;
}

void write_predictions(const fs::path& path, const std::vector<Problem>& problems,
                       const std::vector<std::string>& answers, AnswerRule rule) {
  const auto number = [&](const std::string& text) {
    const auto found = final_number(text, rule);
    return found ? io::Json(*found) : io::Json(nullptr);
  };
  AtomicFile file(path);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const io::Json line = {{"index", i},
                           {"question", problems[i].question},
                           {"reference", problems[i].answer},
                           {"answer", answers[i]},
                           {"expected", number(problems[i].answer)},
                           {"found", number(answers[i])},
                           {"correct", is_correct(problems[i], answers[i], rule)}};
    // A cut reply may end within a character: such bytes are replaced, not refused.
    file.append(line.dump(-1, ' ', false, io::Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

struct Problems {
  std::vector<Problem> problems;
  std::vector<std::vector<tokenizer::TokenId>> prompts;
};

Problems read_prompts(const Materials& materials, const Gsm8kOptions& options, const fs::path& data,
                      Progress&) {
  const data::DataOptions format;
  const std::string prefix = few_shot_prefix(options.few_shot_data, options.few_shot);
  const std::int64_t most = materials.layout.max_positions;
  Problems read{read_problems(data, options.limit), {}};
  for (const Problem& problem : read.problems) {
    read.prompts.push_back(
        materials.tokenizer.encode(prefix + data::question_prompt(problem.question, format)));
    if (most <= 0 || std::ssize(read.prompts.back()) <= most) continue;
    throw InputError({data, "problem " + std::to_string(read.prompts.size())},
                     "expected at most the model's " + std::to_string(most) + " positions, found " +
                         std::to_string(read.prompts.back().size()) + " tokens");
  }
  return read;
}

Scores run_problems(const Subject& subject, const Gsm8kOptions& options, const Problems& data,
                    Progress& progress) {
  const AnswerRule rule = rule_of(options.rule);
  const auto& [problems, prompts] = data;

  generate::Options generation;
  generation.max_tokens = options.max_tokens;
  generation.adapter = subject.adapter;
  generation.eos = generate::end_tokens(subject.source, subject.tokenizer);
  // With worked examples before it, a model that has no end token goes on with a question of its
  // own.
  if (options.few_shot > 0) generation.stop = {"\n\n", "\nQuestion:"};

  const std::int64_t total = std::ssize(problems);
  std::vector<std::string> answers(problems.size());
  generate::Engine engine(subject.model, subject.tokenizer);
  std::map<generate::SequenceId, std::size_t> running;
  std::size_t next = 0;
  std::int64_t answered = 0, correct = 0;
  progress.begin("gsm8k", static_cast<std::uint64_t>(total), "problems");
  while (answered < total) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    for (; next < problems.size() && std::ssize(running) < options.batch; ++next) {
      running[engine.add({prompts[next], generation})] = next;
    }
    const auto ended = engine.step();
    if (ended.empty()) continue;
    for (const generate::SequenceId id : ended) {
      const std::size_t index = running.at(id);
      answers[index] = engine.result(id).text;
      correct += is_correct(problems[index], answers[index], rule) ? 1 : 0;
      running.erase(id);
      engine.remove(id);
    }
    answered += std::ssize(ended);
    progress.update(static_cast<std::uint64_t>(answered),
                    std::to_string(correct) + " of " + std::to_string(answered) + " right");
  }
  progress.end();
  if (!options.predictions.empty()) {
    write_predictions(options.predictions, problems, answers, rule);
  }

  const double accuracy = static_cast<double>(correct) / static_cast<double>(total);
  Scores scores;
  scores.set("accuracy", accuracy);
  scores.set("standard_error", std::sqrt(accuracy * (1 - accuracy) / static_cast<double>(total)));
  scores.set("correct", static_cast<double>(correct));
  scores.set("total", static_cast<double>(total));
  scores.set("unscorable", static_cast<double>(without_number(problems, rule)));
  return scores;
}

}  // namespace

Task gsm8k_task() {
  Task row;
  row.name = "gsm8k";
  row.in_recipe = "problems";
  row.caches = Caches::always;
  row.example_count = "few_shot";
  row.example_file = "few_shot_data";
  row.scores = {
      {.key = "accuracy",
       .label = "accuracy",
       .unit = Unit::share,
       .decimals = 2,
       .higher_is_better = true,
       .error = "standard_error",
       .compared = {{"solved %", 1, "Problems solved", "solved"}}},
      {.key = "standard_error", .unit = Unit::share},  // sqrt(p (1 - p) / n)
      {.key = "correct",
       .label = "right",
       .unit = Unit::count,
       .higher_is_better = true,
       .whole = "total"},
      {.key = "total", .unit = Unit::count, .higher_is_better = true},
      {.key = "unscorable", .unit = Unit::count},  // references without a number
  };
  return make_task<Gsm8kOptions, check_problems, read_prompts, run_problems>(std::move(row));
}

}  // namespace qloft::evaluate
