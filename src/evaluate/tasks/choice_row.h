#pragma once
// What a task of questions with choices needs to become a row: a reader of its rows.

#include <algorithm>
#include <string>
#include <utility>

#include "choices.h"
#include "tasks/row.h"

namespace qloft::evaluate {

struct ChoiceOptions {
  std::int64_t limit = 0;
  std::int64_t shots = -1;
  std::filesystem::path shots_data;
  std::int64_t batch = 16;
  std::filesystem::path predictions;
};

template <typename Visitor>
void visit_options(ChoiceOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--shots", o.shots, "worked examples before each question; -1: 5 in mmlu, else none");
  v("--shots-data", o.shots_data, "where they come from, in the form of --data");
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--predictions", o.predictions, kPredictionsHelp);
}

inline std::int64_t shots_of(const ChoiceOptions& options, std::int64_t otherwise) {
  return options.shots < 0 ? otherwise : options.shots;
}

// Settings that no data belongs to.
inline void check_choice_options(const ChoiceOptions& options) {
  expect_at_least(1, options.batch, "batch");
  expect_at_least(-1, options.shots, "shots");
}

// A warning where prompts were cut.
inline EncodedQuestions encoded(const Materials& materials, QuestionSet set,
                                const std::filesystem::path& data, Progress& progress) {
  EncodedQuestions questions = encode_questions(materials, std::move(set));
  if (questions.truncated > 0) {
    progress.warn(data.string() + ": the beginnings of " + std::to_string(questions.truncated) +
                  " of " + std::to_string(questions.set.questions.size()) +
                  " prompts were cut off: the model has " +
                  std::to_string(materials.layout.max_positions) + " positions");
  }
  return questions;
}

inline std::vector<std::vector<double>> answer(const Subject& subject, const ChoiceOptions& options,
                                               const EncodedQuestions& data, const char* task,
                                               Progress& progress) {
  auto sums = choice_log_likelihoods(subject, data, options.batch, task, progress);
  if (!options.predictions.empty()) write_choices(options.predictions, data, sums);
  return sums;
}

// A file of rows, worked examples from another.
struct ChoiceForm {
  const char* name;   // of --task, and its first key
  const char* title;  // of plots: "ARC easy"
  ReadQuestion read;
  bool normalized;  // it has a score by the length of the choices too
};

template <const ChoiceForm& kForm>
struct ChoiceFunctions {
  static QuestionSet read(const ChoiceOptions& options, const std::filesystem::path& data) {
    QuestionSet set{read_questions(data, options.limit, kForm.read), {}};
    const std::int64_t shots = shots_of(options, 0);
    if (shots == 0) return set;
    if (options.shots_data.empty()) {
      throw InputError({{}, "shots_data"}, "worked examples need a file that has them");
    }
    set.prefixes[""] = worked_examples(read_questions(options.shots_data, shots, kForm.read), shots,
                                       options.shots_data);
    return set;
  }
  static void check(const ChoiceOptions& options, const std::filesystem::path& data, std::int64_t,
                    Progress&) {
    check_choice_options(options);
    read(options, data);
  }
  static EncodedQuestions prepare(const Materials& materials, const ChoiceOptions& options,
                                  const std::filesystem::path& data, Progress& progress) {
    return encoded(materials, read(options, data), data, progress);
  }
  static Scores run(const Subject& subject, const ChoiceOptions& options,
                    const EncodedQuestions& data, Progress& progress) {
    const auto sums = answer(subject, options, data, kForm.name, progress);
    const std::string name = kForm.name;
    Scores scores;
    for (const bool normalized : {false, true}) {
      if (normalized && !kForm.normalized) continue;
      Share share;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const Question& question = data.set.questions[i];
        share.right += chosen(question, sums[i], normalized) == question.right ? 1 : 0;
        ++share.total;
      }
      scores.set(name + (normalized ? "_norm" : ""), share.value());
      scores.set(name + (normalized ? "_norm_error" : "_error"), share.error());
    }
    scores.set(name + "_questions", static_cast<double>(sums.size()));
    scores.set(name + "_truncated", static_cast<double>(data.truncated));
    return scores;
  }
};

template <const ChoiceForm& kForm>
Task choice_task() {
  using Functions = ChoiceFunctions<kForm>;
  Task row;
  const std::string name = kForm.name, title = kForm.title;
  row.name = row.in_recipe = name;
  row.data_set = DataSet::choices;
  row.caches = Caches::scoring;
  row.example_count = "shots";
  row.example_file = "shots_data";
  const auto share = [&](const std::string& key, const std::string& label,
                         const std::string& heading) {
    row.scores.push_back({.key = key,
                          .label = label,
                          .unit = Unit::share,
                          .decimals = 2,
                          .higher_is_better = true,
                          .error = key + "_error",
                          .compared = {{heading + " %", 1, heading, key, false}}});
    row.scores.push_back({.key = key + "_error", .unit = Unit::share});
  };
  share(name, "accuracy", title);
  if (kForm.normalized) share(name + "_norm", "by length", title + ", by length");
  row.scores.push_back({.key = name + "_questions", .label = "questions", .unit = Unit::count});
  row.scores.push_back({.key = name + "_truncated", .unit = Unit::count});  // prompts
  return make_task<ChoiceOptions, Functions::check, Functions::prepare, Functions::run>(
      std::move(row));
}

}  // namespace qloft::evaluate
