#include "recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "draft.h"
#include "qloft/core/error.h"
#include "qloft/evaluate/task.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "recipe_json.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

// Options that the comparison sets itself.
const std::set<std::string> kSetInQuantize = {"output",  "overwrite", "plan",    "stats", "data",
                                              "recover", "task",      "samples", "length"};
const std::set<std::string> kSetInPlan = {"output", "overwrite", "stats"};
const std::set<std::string> kSetInCalibrate = {"output", "overwrite", "data", "adapter", "bare"};
const std::set<std::string> kSetInTune = {"data",    "output",      "overwrite", "resume",
                                          "adapter", "from_random", "tokenizer", "show"};
// The adapter is that of quantize.
const std::set<std::string> kSetInRecover = {"teacher", "output",        "overwrite", "resume",
                                             "cache",   "fresh",         "rank",      "alpha",
                                             "rslora",  "target_modules"};
const std::set<std::string> kSetInTasks = {"task", "data", "adapter", "bare"};

template <typename StageOptions>
StageOptions read_options(const Json& json, const ErrorLocation& where,
                          const std::set<std::string>& reserved) {
  StageOptions options;
  io::OptionReader reader(json, where, reserved);
  visit_options(options, reader);
  reader.finish();
  return options;
}

constexpr std::size_t kMostSlug = 200;  // files have longer names meanwhile

std::string slug_of(const std::string& name) {
  std::string slug;
  for (const char c : name) {
    const bool keep = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.';
    if (keep) {
      slug += c;
    } else if (c >= 'A' && c <= 'Z') {
      slug += static_cast<char>(c - 'A' + 'a');
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  slug.erase(slug.find_last_not_of("-.") + 1);
  return slug;
}

// Which data set "data" names, taken out of the options.
std::string take_data_set(Json& stage, const char* otherwise, const ErrorLocation& where) {
  const auto found = stage.find("data");
  if (found == stage.end()) return otherwise;
  const Json name = *found;
  if (name != "train" && name != "calibration") {
    throw InputError(where, "expected train or calibration, found " + io::shown(name));
  }
  stage.erase(found);
  return name.get<std::string>();
}

void check_name(const RowSpec& row, const Recipe& recipe, const fs::path& file) {
  const ErrorLocation where{file, row.field + ".name"};
  for (const std::string* text : {&row.name, &row.group}) {
    const bool control = std::any_of(text->begin(), text->end(),
                                     [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (control) throw InputError(where, "expected a text of one line");
  }
  if (row.slug.empty()) throw InputError(where, "expected a letter or a digit in the name");
  if (row.slug.size() > kMostSlug) {
    throw InputError(where, "expected at most " + std::to_string(kMostSlug) +
                                " letters and digits, found " + std::to_string(row.slug.size()));
  }
  for (const RowSpec& other : recipe.rows) {
    if (other.slug != row.slug) continue;
    throw InputError(where, "expected a name that no other row has, found \"" + row.name + "\"");
  }
}

void check_together(const RowSpec& row, const fs::path& file) {
  if (row.recover && row.quantize->rank == 0) {
    throw InputError({file, row.field + ".recover"},
                     "expected an adapter to train, found quantize.rank 0");
  }
  if (!row.quantize || !row.tune) return;
  const pipeline::FinetuneOptions& tune = *row.tune;
  if (tune.method == "full") {
    throw InputError({file, row.field + ".tune.method"},
                     "full fine-tuning needs full-precision weights: expected \"quantize\": null");
  }
  // The method auto chooses one for the model.
  if (row.quantize->method == "auto" && !row.quantize->rank) return;
  const std::int64_t rank = row.quantize->rank.value_or(pipeline::kDefaultRank);
  if (rank > 0 && !tune.fresh && tune.rank && *tune.rank != rank) {
    throw InputError({file, row.field + ".tune.rank"}, "expected the rank of quantize, " +
                                                           std::to_string(rank) + ", found " +
                                                           std::to_string(*tune.rank));
  }
}

RowSpec row_of(Draft draft, const std::string& field, const fs::path& file) {
  const auto at = [&](const char* name) { return ErrorLocation{file, field + "." + name}; };
  RowSpec row;
  row.name = draft.name;
  row.slug = slug_of(draft.name);
  row.group = draft.group;
  row.field = field;
  if (!draft.quantize.is_null()) {
    // Rows that name no method are of LoftQ.
    Json quantize = {{"method", "loftq"}};
    quantize.update(draft.quantize);
    row.quantize =
        read_options<pipeline::QuantizeOptions>(quantize, at("quantize"), kSetInQuantize);
  }
  if (!draft.calibrate.is_null()) {
    row.calibrate_data = take_data_set(draft.calibrate, "calibration", at("calibrate.data"));
    row.calibrate =
        read_options<pipeline::CalibrateOptions>(draft.calibrate, at("calibrate"), kSetInCalibrate);
  }
  if (!draft.plan.is_null()) {
    const auto candidates = draft.plan.find("candidates");
    if (candidates != draft.plan.end() && candidates->is_array()) {
      row.plan_candidates = *candidates;
      draft.plan.erase(candidates);
    }
    // The plan is for the adapter that quantize makes.
    for (const char* option : {"rank", "adapter_dtype"}) {
      if (!draft.plan.contains(option) && draft.quantize.contains(option)) {
        draft.plan[option] = draft.quantize[option];
      }
    }
    row.plan = read_options<pipeline::PlanOptions>(draft.plan, at("plan"), kSetInPlan);
  }
  if (!draft.recover.is_null()) {
    row.recover_data = take_data_set(draft.recover, "calibration", at("recover.data"));
    row.recover =
        read_options<pipeline::RecoverOptions>(draft.recover, at("recover"), kSetInRecover);
  }
  if (!draft.tune.is_null()) {
    row.tune_data = take_data_set(draft.tune, "train", at("tune.data"));
    row.tune = read_options<pipeline::FinetuneOptions>(draft.tune, at("tune"), kSetInTune);
  }
  check_together(row, file);
  return row;
}

void add_rows(const Json& json, const Shared& shared, const std::string& field,
              const fs::path& file, Recipe& recipe) {
  const Members row(json, {file, field},
                    {"name", "group", "quantize", "plan", "calibrate", "recover", "tune", "vary"});
  const Draft draft = draft_of(row, shared, field, file);
  const Json* varied = row.find("vary");
  auto drafts =
      varied == nullptr ? std::vector<Draft>{draft} : vary(draft, *varied, {file, field + ".vary"});
  if (recipe.rows.size() + drafts.size() > kMostRows) {
    throw InputError({file, field},
                     "expected at most " + std::to_string(kMostRows) + " rows in all, found more");
  }
  for (Draft& one : drafts) {
    RowSpec plan = row_of(std::move(one), field, file);
    check_name(plan, recipe, file);
    recipe.rows.push_back(std::move(plan));
  }
}

std::vector<TaskSpec> read_tasks(const Json& json, const fs::path& file) {
  std::vector<std::string> names;
  for (const evaluate::Task& task : evaluate::tasks()) names.push_back(task.in_recipe);
  // Files are the comparison's own.
  std::set<std::string> reserved = kSetInTasks;
  for (const evaluate::Setting& setting : evaluate::all_settings()) {
    if (std::holds_alternative<fs::path>(setting.value)) {
      reserved.insert(option_name(setting.flags));
    }
  }
  const Members members(json, {file, "tasks"}, names);
  std::vector<TaskSpec> tasks;
  for (const evaluate::Task& task : evaluate::tasks()) {
    const Json* own = members.find(task.in_recipe);
    if (own == nullptr || own->is_null()) continue;
    tasks.push_back({&task, read_options<pipeline::EvaluateOptions>(
                                *own, {file, "tasks." + task.in_recipe}, reserved)});
    tasks.back().options.task = task.name;
  }
  return tasks;
}

}  // namespace

bool TaskSpec::needs_examples() const {
  if (task->example_count.empty()) return false;
  return std::get<std::int64_t>(evaluate::setting(options.settings, task->example_count).value) > 0;
}

Recipe parse_recipe(const Json& json, const fs::path& file) {
  const Members top(
      json, {file, {}},
      {"description", "tasks", "quantize", "plan", "calibrate", "recover", "tune", "rows"});
  Recipe recipe;
  recipe.description = top.text("description", "");
  if (const Json* tasks = top.find("tasks"); tasks != nullptr && !tasks->is_null()) {
    recipe.tasks = read_tasks(*tasks, file);
  }
  const Shared shared = {over(Json::object(), top.find("quantize"), {file, "quantize"}),
                         over(Json::object(), top.find("plan"), {file, "plan"}),
                         over(Json::object(), top.find("calibrate"), {file, "calibrate"}),
                         over(nullptr, top.find("recover"), {file, "recover"}),
                         over(nullptr, top.find("tune"), {file, "tune"})};
  const Json* rows = top.find("rows");
  if (rows == nullptr || !rows->is_array() || rows->empty()) {
    throw InputError({file, "rows"}, "expected a list of rows, found " +
                                         (rows == nullptr ? "none" : io::shown(*rows)));
  }
  for (std::size_t i = 0; i < rows->size(); ++i) {
    add_rows((*rows)[i], shared, "rows[" + std::to_string(i) + "]", file, recipe);
  }
  return recipe;
}

}  // namespace qloft::compare
