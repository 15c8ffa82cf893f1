// SQuAD 1.1 and 2.0: the part of a context that answers a question, by a head for spans; scores as
// the official scripts count them.

#include "qloft/data/squad.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/evaluate.h"
#include "qloft/io.h"
#include "qloft/metrics/squad.h"
#include "qloft/train/spans.h"
#include "span_answers.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSquadLength = 384;

struct SquadOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
  std::int64_t length = 0;
  std::int64_t stride = 128;
  std::int64_t n_best = 20;
  std::int64_t max_answer_length = 30;
  fs::path predictions, nbest;
};

template <typename Visitor>
void visit_options(SquadOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--length", at_most(o.length, kMostTokens), kLengthHelp);
  v("--stride", at_most(o.stride, kMostTokens),
    "tokens of the context that a window shares with the one before");
  v("--n-best", at_most(o.n_best, kMostTokens),
    "beginnings and ends of a window, and answers, that are looked at");
  v("--max-answer-length", at_most(o.max_answer_length, kMostTokens), "tokens of an answer");
  v("--predictions", o.predictions, kPredictionsHelp);
  v("--nbest", o.nbest, "write the likeliest answers of each question (an object of ids)");
}

struct SquadV2Options : SquadOptions {
  double null_threshold = 0;
  fs::path null_odds;
};

template <typename Visitor>
void visit_options(SquadV2Options& o, Visitor& v) {
  visit_options(static_cast<SquadOptions&>(o), v);
  v("--null-threshold", o.null_threshold,
    "there is no answer where its score exceeds that of the best one by more than this");
  v("--null-odds", o.null_odds, "write by how much it does (an object of ids and numbers)");
}

AnswerRules rules_of(const SquadOptions& options) {
  return {.candidates = options.n_best, .longest = options.max_answer_length};
}
AnswerRules rules_of(const SquadV2Options& options) {
  return {.candidates = options.n_best,
          .longest = options.max_answer_length,
          .unanswerable = true,
          .threshold = options.null_threshold};
}

template <typename Options>
void check_questions(const Options& options, const fs::path& data, std::int64_t, Progress&) {
  expect_at_least(1, options.batch, "batch");
  expect_at_least(0, options.length, "length");
  expect_at_least(0, options.stride, "stride");
  expect_at_least(1, options.n_best, "n_best");
  expect_at_least(1, options.max_answer_length, "max_answer_length");
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

// ------------------------------------------------------------------------------- data

struct SquadData {
  std::vector<data::SpanQuestion> questions;
  train::Spans windows;
};

template <typename Options>
SquadData read_squad(const Materials& materials, const Options& options,
                     const std::vector<fs::path>& files) {
  std::vector<data::SpanQuestion> questions;
  for (const fs::path& file : files) {
    auto its = data::read_span_questions(file, rules_of(options).unanswerable);
    std::ranges::move(its, std::back_inserter(questions));
  }
  const auto most = static_cast<std::size_t>(options.limit);
  if (options.limit > 0 && questions.size() > most) questions.resize(most);
  train::Spans windows(data::encode_span_questions(
      questions, materials.tokenizer,
      {.length = length_of(options.length, kSquadLength, materials.layout),
       .stride = options.stride,
       .vocabulary_size = materials.layout.vocabulary_size}));
  return {std::move(questions), std::move(windows)};
}

template <typename Options>
SquadData prepare_questions(const Materials& materials, const Options& options,
                            const fs::path& file, Progress&) {
  return read_squad(materials, options, {file});
}

template <typename Options>
TrainingSet learn_questions(const Materials& materials, const Options& options,
                            const std::vector<fs::path>& files, const Learning&, Progress&) {
  const train::Spans windows = read_squad(materials, options, files).windows;
  return {windows.examples(), windows.objective(), windows.fingerprint()};
}

// ------------------------------------------------------------------------------- answers

// Of each question, from its windows, which stand side by side.
std::vector<SpanAnswer> answers_of(const SquadData& data,
                                   const std::vector<train::SpanScores>& scores,
                                   const AnswerRules& rules) {
  std::vector<SpanAnswer> answers;
  std::vector<const data::SpanWindow*> windows;
  for (std::int64_t i = 0; i < data.windows.size(); ++i) windows.push_back(&data.windows[i]);
  for (std::size_t begin = 0; begin < windows.size();) {
    const std::size_t question = windows[begin]->question;
    std::size_t end = begin;
    while (end < windows.size() && windows[end]->question == question) ++end;
    answers.push_back(span_answer(data.questions[question],
                                  std::span(windows).subspan(begin, end - begin),
                                  std::span(scores).subspan(begin, end - begin), rules));
    begin = end;
  }
  return answers;
}

io::Json candidates_of(const SpanAnswer& answer) {
  io::Json list = io::Json::array();
  for (const SpanCandidate& one : answer.candidates) {
    list.push_back({{"start_logit", one.start},
                    {"end_logit", one.end},
                    {"text", one.text},
                    {"probability", one.probability}});
  }
  return list;
}

// An object with a value for each question.
void write_by_id(const fs::path& file, const SquadData& data,
                 const std::vector<SpanAnswer>& answers, io::Json (*value)(const SpanAnswer&)) {
  if (file.empty()) return;
  io::Json all = io::Json::object();
  for (std::size_t i = 0; i < answers.size(); ++i) all[data.questions[i].id] = value(answers[i]);
  io::write_json(file, all);
}

void set_parts(const metrics::SquadScores& scores, const std::string& name, Scores& out) {
  if (scores.total == 0) return;
  out.set(name + "f1", scores.f1 / 100);
  out.set(name + "exact", scores.exact / 100);
  out.set(name + "questions", static_cast<double>(scores.total));
}

void set_scores(const SquadOptions&, const std::vector<metrics::SquadItem>& items, Scores& out) {
  set_parts(metrics::squad(items), "squad_", out);
}

void set_scores(const SquadV2Options&, const std::vector<metrics::SquadItem>& items, Scores& out) {
  // The threshold of the answers is the task's own.
  const auto found = metrics::squad_v2(items, std::numeric_limits<double>::infinity());
  set_parts(found.all, "squad_v2_", out);
  set_parts(found.has_answer, "squad_v2_has_answer_", out);
  set_parts(found.no_answer, "squad_v2_no_answer_", out);
  out.set("squad_v2_best_f1", found.best_f1 / 100);
  out.set("squad_v2_best_f1_threshold", found.best_f1_threshold);
  out.set("squad_v2_best_exact", found.best_exact / 100);
  out.set("squad_v2_best_exact_threshold", found.best_exact_threshold);
}

void write_odds(const SquadOptions&, const SquadData&, const std::vector<SpanAnswer>&) {}
void write_odds(const SquadV2Options& options, const SquadData& data,
                const std::vector<SpanAnswer>& answers) {
  write_by_id(options.null_odds, data, answers,
              [](const SpanAnswer& answer) { return io::Json(answer.no_answer); });
}

template <typename Options>
Scores run_questions(const Subject& subject, const Options& options, const SquadData& data,
                     Progress& progress) {
  const AnswerRules rules = rules_of(options);
  const std::string name = rules.unanswerable ? "squad_v2" : "squad";
  const auto said = train::span_scores(subject.model, subject.adapter, data.windows, options.batch,
                                       name, progress);
  const std::vector<SpanAnswer> answers = answers_of(data, said, rules);
  write_by_id(options.predictions, data, answers,
              [](const SpanAnswer& answer) { return io::Json(answer.text); });
  write_by_id(options.nbest, data, answers, candidates_of);
  write_odds(options, data, answers);
  std::vector<metrics::SquadItem> items;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    items.push_back({answers[i].text, data.questions[i].answers, answers[i].no_answer});
  }
  Scores scores;
  set_scores(options, items, scores);
  scores.set(name + "_windows", static_cast<double>(data.windows.size()));
  return scores;
}

// ------------------------------------------------------------------------------- rows

ScoreInfo share_of(const std::string& key, const std::string& label) {
  return {.key = key, .label = label, .unit = Unit::share, .decimals = 2, .higher_is_better = true};
}

ScoreInfo compared(ScoreInfo info, const std::string& title) {
  info.compared = {{title + " %", 1, title, info.key, false}};
  return info;
}

ScoreInfo count_of(const std::string& key, const std::string& label) {
  return {.key = key, .label = label, .unit = Unit::count};
}

Task row_of(const std::string& name, const std::string& title) {
  Task row;
  row.name = row.in_recipe = name;
  row.head = {.kind = architecture::HeadKind::spans};
  row.scores = {compared(share_of(name + "_f1", "F1"), title + ", F1"),
                compared(share_of(name + "_exact", "exact match"), title + ", exact match"),
                count_of(name + "_questions", "questions")};
  return row;
}

template <typename Options>
Task whole(Task row) {
  row.scores.push_back(count_of(row.name + "_windows", "windows"));
  return make_task<Options, check_questions<Options>, prepare_questions<Options>,
                   run_questions<Options>, learn_questions<Options>>(std::move(row));
}

}  // namespace

Task squad_task() {
  return whole<SquadOptions>(row_of("squad", "SQuAD"));
}

Task squad_v2_task() {
  Task row = row_of("squad_v2", "SQuAD 2.0");
  const std::pair<const char*, const char*> parts[] = {{"has_answer_", "answerable"},
                                                       {"no_answer_", "unanswerable"}};
  for (const auto& [part, label] : parts) {
    const std::string name = row.name + "_" + part, said = label;
    row.scores.push_back(share_of(name + "f1", said + ", F1"));
    row.scores.push_back(share_of(name + "exact", said + ", exact match"));
    row.scores.push_back(count_of(name + "questions", said));
  }
  for (const std::string part : {"best_f1", "best_exact"}) {
    const std::string label = part == "best_f1" ? "best F1" : "best exact match";
    row.scores.push_back(share_of(row.name + "_" + part, label));
    row.scores.push_back(
        {.key = row.name + "_" + part + "_threshold", .label = "at a threshold of", .decimals = 4});
  }
  return whole<SquadV2Options>(std::move(row));
}

}  // namespace qloft::evaluate
