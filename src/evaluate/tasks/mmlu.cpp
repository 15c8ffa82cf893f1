// MMLU (Hendrycks et al. 2021): each subject's questions behind the first of its own development
// examples, answered by the likelihood of the letters.

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "qloft/data/csv.h"
#include "qloft/data/rows.h"
#include "tasks/choice_row.h"
#include "text.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kShots = 5;
constexpr std::size_t kFields = 6;  // of a line of CSV: the question, four choices, the answer

struct Category {
  const char* key;
  const char* label;
  std::vector<const char*> subjects;
};

// As lm-evaluation-harness groups them.
const std::vector<Category>& categories() {
  static const std::vector<Category> table = {
      {"stem",
       "STEM",
       {"abstract_algebra", "anatomy", "astronomy", "college_biology", "college_chemistry",
        "college_computer_science", "college_mathematics", "college_physics", "computer_security",
        "conceptual_physics", "electrical_engineering", "elementary_mathematics",
        "high_school_biology", "high_school_chemistry", "high_school_computer_science",
        "high_school_mathematics", "high_school_physics", "high_school_statistics",
        "machine_learning"}},
      {"humanities",
       "humanities",
       {"formal_logic", "high_school_european_history", "high_school_us_history",
        "high_school_world_history", "international_law", "jurisprudence", "logical_fallacies",
        "moral_disputes", "moral_scenarios", "philosophy", "prehistory", "professional_law",
        "world_religions"}},
      {"social_sciences",
       "social sciences",
       {"econometrics", "high_school_geography", "high_school_government_and_politics",
        "high_school_macroeconomics", "high_school_microeconomics", "high_school_psychology",
        "human_sexuality", "professional_psychology", "public_relations", "security_studies",
        "sociology", "us_foreign_policy"}},
      {"other",
       "other",
       {"business_ethics", "clinical_knowledge", "college_medicine", "global_facts", "human_aging",
        "management", "marketing", "medical_genetics", "miscellaneous", "nutrition",
        "professional_accounting", "professional_medicine", "virology"}},
  };
  return table;
}

Question mmlu_question(const std::string& subject, const std::string& question,
                       const std::vector<std::string>& choices, std::size_t right) {
  std::string context = stripped(question);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    context += std::string("\n") + static_cast<char>('A' + i) + ". " + choices[i];
  }
  Question result = question_of(context + "\nAnswer:", {"A", "B", "C", "D"}, right);
  result.subject = subject;
  return result;
}

// As the hub has it: question, subject, choices, answer (a number from 0, or the letter).
Question read_mmlu_row(const io::Field& row) {
  const io::Field choices = row.at("choices");
  const auto texts = choices.strings();
  if (texts.size() != 4) {
    choices.fail("expected four choices, found " + std::to_string(texts.size()));
  }
  const io::Field answer = row.at("answer");
  const std::size_t right = answer.json().is_string()
                                ? answer.choice({"A", "B", "C", "D"})
                                : static_cast<std::size_t>(answer.integer(0, 3));
  return mmlu_question(row.at("subject").string(), row.at("question").string(), texts, right);
}

std::vector<Question> read_csv_questions(const fs::path& file, const std::string& subject) {
  std::vector<Question> questions;
  for (const data::CsvRecord& record : data::read_csv(file)) {
    const ErrorLocation where{file, "line " + std::to_string(record.line)};
    if (record.fields.size() != kFields) {
      throw InputError(where, "expected 6 fields (the question, four choices, the answer), found " +
                                  std::to_string(record.fields.size()));
    }
    const std::string& letter = record.fields.back();
    if (letter.size() != 1 || letter[0] < 'A' || letter[0] > 'D') {
      throw InputError({file, where.field + ".answer"},
                       "expected A, B, C or D, found '" + letter + "'");
    }
    questions.push_back(mmlu_question(subject, record.fields[0],
                                      {record.fields.begin() + 1, record.fields.end() - 1},
                                      static_cast<std::size_t>(letter[0] - 'A')));
    questions.back().where = where;
  }
  return questions;
}

// "dev" or "test" of a folder: PART/SUBJECT_PART.csv, or PART.jsonl or .json.
std::vector<Question> read_part(const fs::path& folder, const std::string& part) {
  std::error_code error;
  for (const char* ending : {".jsonl", ".json"}) {
    const fs::path file = folder / (part + ending);
    if (fs::is_regular_file(file, error)) return read_questions(file, 0, read_mmlu_row);
  }
  const std::string ending = "_" + part + ".csv";
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder / part, error)) {
    if (entry.path().filename().string().ends_with(ending)) files.insert(entry.path());
  }
  std::vector<Question> questions;
  for (const fs::path& file : files) {
    std::string subject = file.filename().string();
    subject.resize(subject.size() - ending.size());
    std::ranges::move(read_csv_questions(file, subject), std::back_inserter(questions));
  }
  if (questions.empty()) {
    throw InputError({folder, part}, "expected " + part + "/SUBJECT" + ending + " or " + part +
                                         ".jsonl with questions, found none");
  }
  return questions;
}

// The first `limit` of each subject; 0: all.
std::vector<Question> first_of_each_subject(std::vector<Question> questions, std::int64_t limit) {
  if (limit == 0) return questions;
  std::map<std::string, std::int64_t> seen;
  std::erase_if(questions, [&](const Question& q) { return ++seen[q.subject] > limit; });
  return questions;
}

std::string introduction(std::string subject) {
  std::ranges::replace(subject, '_', ' ');
  return "The following are multiple choice questions (with answers) about " + subject + ".\n\n";
}

QuestionSet read_mmlu(const ChoiceOptions& options, const fs::path& data) {
  const bool folder = fs::is_directory(data);
  const std::int64_t shots = shots_of(options, kShots);
  QuestionSet set{
      first_of_each_subject(
          folder ? read_part(data, "test") : read_questions(data, 0, read_mmlu_row), options.limit),
      {}};
  for (const Question& q : set.questions) {
    set.prefixes.try_emplace(q.subject, introduction(q.subject));
  }
  if (shots == 0) return set;
  const fs::path& source = options.shots_data.empty() ? data : options.shots_data;
  if (!folder && options.shots_data.empty()) {
    throw InputError({data, {}},
                     "expected a folder with dev and test, or the development examples by "
                     "--shots-data, found a file alone");
  }
  std::map<std::string, std::vector<Question>> examples;
  for (Question& example : fs::is_directory(source) ? read_part(source, "dev")
                                                    : read_questions(source, 0, read_mmlu_row)) {
    examples[example.subject].push_back(std::move(example));
  }
  for (auto& [subject, prefix] : set.prefixes) {
    const auto& own = examples[subject];
    if (std::ssize(own) < shots) {
      throw InputError({source, subject}, "expected " + std::to_string(shots) +
                                              " development examples, found " +
                                              std::to_string(own.size()));
    }
    prefix += worked_examples(own, shots, source);
  }
  return set;
}

void check_mmlu(const ChoiceOptions& options, const fs::path& data, std::int64_t, Progress&) {
  check_choice_options(options);
  read_mmlu(options, data);
}

EncodedQuestions prepare_mmlu(const Materials& materials, const ChoiceOptions& options,
                              const fs::path& data, Progress& progress) {
  return encoded(materials, read_mmlu(options, data), data, progress);
}

// Of subjects together: the share of all questions, the pooled standard error of the harness.
double pooled_error(const std::vector<Share>& subjects) {
  double squares = 0;
  std::int64_t total = 0;
  for (const Share& s : subjects) {
    const auto n = static_cast<double>(s.total);
    squares += (n - 1) * n * s.error() * s.error();
    total += s.total;
  }
  const std::int64_t degrees = total - std::ssize(subjects);
  return degrees <= 0
             ? 0
             : std::sqrt(squares / static_cast<double>(degrees) / static_cast<double>(total));
}

Scores run_mmlu(const Subject& subject, const ChoiceOptions& options, const EncodedQuestions& data,
                Progress& progress) {
  const auto sums = answer(subject, options, data, "mmlu", progress);
  std::map<std::string, Share> of_subject;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const Question& question = data.set.questions[i];
    Share& share = of_subject[question.subject];
    share.right += chosen(question, sums[i], false) == question.right ? 1 : 0;
    ++share.total;
  }
  Scores scores;
  const auto set_together = [&](const std::string& key, const std::vector<Share>& shares) {
    Share all;
    for (const Share& share : shares) {
      all.right += share.right;
      all.total += share.total;
    }
    if (all.total == 0) return;
    scores.set(key, all.value());
    scores.set(key + "_error", pooled_error(shares));
  };
  std::vector<Share> all;
  all.reserve(of_subject.size());
  for (const auto& [name, share] : of_subject) all.push_back(share);
  set_together("mmlu", all);
  for (const Category& category : categories()) {
    std::vector<Share> shares;
    for (const char* name : category.subjects) {
      if (const auto found = of_subject.find(name); found != of_subject.end()) {
        shares.push_back(found->second);
      }
    }
    set_together(std::string("mmlu_") + category.key, shares);
  }
  for (const auto& [name, share] : of_subject) scores.set("mmlu_" + name, share.value());
  scores.set("mmlu_questions", static_cast<double>(sums.size()));
  scores.set("mmlu_truncated", static_cast<double>(data.truncated));
  return scores;
}

}  // namespace

Task mmlu_task() {
  Task row;
  row.name = row.in_recipe = "mmlu";
  row.data_set = DataSet::choices;
  row.folder = true;
  row.caches = Caches::scoring;
  const auto share = [&](const std::string& key, const std::string& label) {
    row.scores.push_back({.key = key,
                          .label = label,
                          .unit = Unit::share,
                          .decimals = 2,
                          .higher_is_better = true,
                          .error = key + "_error"});
    row.scores.push_back({.key = key + "_error", .unit = Unit::share});
  };
  share("mmlu", "accuracy");
  row.scores.front().compared = {{"MMLU %", 1, "MMLU", "mmlu", false}};
  for (const Category& category : categories()) {
    share(std::string("mmlu_") + category.key, category.label);
  }
  for (const Category& category : categories()) {
    for (const char* name : category.subjects) {
      row.scores.push_back(
          {.key = std::string("mmlu_") + name, .unit = Unit::share, .higher_is_better = true});
    }
  }
  row.scores.push_back({.key = "mmlu_questions", .label = "questions", .unit = Unit::count});
  row.scores.push_back({.key = "mmlu_truncated", .unit = Unit::count});  // prompts
  return make_task<ChoiceOptions, check_mmlu, prepare_mmlu, run_mmlu>(std::move(row));
}

}  // namespace qloft::evaluate
