#include "qloft/pipeline/evaluate.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "load.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate.h"
#include "qloft/generate.h"
#include "qloft/text/chat.h"
#include "qloft/text/data.h"
#include "qloft/train.h"

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

// Mean negative log-likelihood, in natural log, of what the examples teach.
double run_loss(LoadedModel& loaded, const EvaluateOptions& options, EvaluateReport& report) {
  text::DataOptions format;
  const std::int64_t longest = loaded.model.architecture().max_positions;
  if (longest > 0) format.max_length = std::min(format.max_length, longest);
  const text::DataSet data(
      {options.data},
      text::ExampleReader(loaded.tokenizer, text::ChatTemplate::load(loaded.source.folder()),
                          format));
  report.examples = options.limit > 0 ? std::min(options.limit, data.size()) : data.size();
  std::vector<std::int64_t> indices(static_cast<std::size_t>(report.examples));
  std::iota(indices.begin(), indices.end(), 0);
  return train::validation_loss(loaded.model, data, indices, options.batch);
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
  if (options.task != "perplexity" && options.task != "loss" && options.task != "gsm8k") {
    throw InputError({{}, "task"},
                     "expected perplexity, loss or gsm8k, found '" + options.task + "'");
  }
  if (options.batch < 1) {
    throw InputError({{}, "batch"}, "expected at least 1, found " + std::to_string(options.batch));
  }
  if (options.data.empty()) throw InputError({{}, "data"}, "expected a file, found none");

  // Everything that can be wrong with the input is looked at before the model is loaded.
  std::string text;
  evaluate::ProblemOptions problems;
  if (options.task == "perplexity") {
    text = read_file(options.data);
  } else if (options.task == "gsm8k") {
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
  } else if (options.task == "loss") {
    report.loss = run_loss(loaded, options, report);
  } else {
    report.accuracy = run_gsm8k(loaded, options, problems, progress);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace qloft::pipeline
