#include "qloft/pipeline/evaluate.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "load.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate.h"
#include "qloft/generate.h"

namespace qloft::pipeline {
namespace {

evaluate::ProblemOptions::Rule parse_rule(const std::string& name) {
  if (name == "hashes") return evaluate::ProblemOptions::Rule::hashes;
  if (name == "last-number") return evaluate::ProblemOptions::Rule::last_number;
  throw InputError({{}, "rule"}, "expected hashes or last-number, found '" + name + "'");
}

io::Json to_json(const evaluate::Prediction& prediction) {
  const auto number = [](const std::optional<std::string>& text) {
    return text ? io::Json(*text) : io::Json(nullptr);
  };
  return {{"index", prediction.index},
          {"question", prediction.question},
          {"reference", prediction.reference},
          {"answer", prediction.answer},
          {"expected", number(prediction.expected)},
          {"found", number(prediction.found)},
          {"correct", prediction.correct}};
}

evaluate::Perplexity run_perplexity(LoadedModel& loaded, const EvaluateOptions& options,
                                    const std::string& text, Progress& progress) {
  const std::int64_t longest = loaded.model.architecture().max_positions;
  if (longest > 0 && options.window > longest) {
    throw InputError({{}, "window"}, "expected at most the model's " + std::to_string(longest) +
                                         " positions, found " + std::to_string(options.window));
  }
  return evaluate::perplexity(loaded.model, loaded.tokenizer, text, options.window, options.limit,
                              progress);
}

evaluate::Accuracy run_gsm8k(LoadedModel& loaded, const EvaluateOptions& options,
                             evaluate::ProblemOptions problems, Progress& progress) {
  problems.eos = generate::end_tokens(loaded.source, loaded.tokenizer);
  if (options.predictions.empty()) {
    return evaluate::gsm8k(loaded.model, loaded.tokenizer, options.data, problems, nullptr,
                           progress);
  }
  AtomicFile file(options.predictions);
  const auto accuracy = evaluate::gsm8k(
      loaded.model, loaded.tokenizer, options.data, problems,
      [&](const evaluate::Prediction& prediction) {
        // A cut reply may end within a character: such bytes are replaced, not refused.
        file.append(to_json(prediction).dump(-1, ' ', false, io::Json::error_handler_t::replace) +
                    "\n");
      },
      progress);
  file.commit();
  return accuracy;
}

}  // namespace

EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress) {
  if (options.task != "perplexity" && options.task != "gsm8k") {
    throw InputError({{}, "task"}, "expected perplexity or gsm8k, found '" + options.task + "'");
  }
  if (options.data.empty()) throw InputError({{}, "data"}, "expected a file, found none");

  // Everything that can be wrong with the input is looked at before the model is loaded.
  std::string text;
  evaluate::ProblemOptions problems;
  if (options.task == "perplexity") {
    text = read_file(options.data);
  } else {
    problems.limit = options.limit;
    problems.few_shot = options.few_shot;
    problems.few_shot_file = options.few_shot_data;
    problems.max_tokens = options.max_tokens;
    problems.batch = options.batch;
    problems.rule = parse_rule(options.rule);
    if (!std::filesystem::is_regular_file(options.data)) {
      throw InputError({options.data, {}}, "no such file");
    }
    if (options.few_shot > 0 && options.few_shot_data.empty()) {
      throw InputError({{}, "few_shot_data"}, "few-shot evaluation needs a file of examples");
    }
  }

  LoadedModel loaded = load_model(options.model, progress);
  EvaluateReport report;
  report.task = options.task;
  const auto start = std::chrono::steady_clock::now();
  if (options.task == "perplexity") {
    report.perplexity = run_perplexity(loaded, options, text, progress);
  } else {
    report.accuracy = run_gsm8k(loaded, options, problems, progress);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace qloft::pipeline
