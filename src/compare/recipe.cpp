#include "recipe.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "qloft/core/error.h"
#include "qloft/evaluate/task.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

// Options of quantize in whose place a plan stands.
const std::vector<std::string> kFormatOptions = {
    "bits",        "size",         "codebook",    "block",       "scale",         "scale_type",
    "second_bits", "second_block", "second_type", "second_code", "target_modules"};
// Options that the comparison sets itself.
const std::set<std::string> kSetInQuantize = {"output", "overwrite", "plan", "stats", "data"};
const std::set<std::string> kSetInPlan = {"output", "overwrite", "stats"};
const std::set<std::string> kSetInCalibrate = {"output", "overwrite", "data", "adapter", "bare"};
const std::set<std::string> kSetInTune = {"data",    "output",      "overwrite", "resume",
                                          "adapter", "from_random", "tokenizer"};
const std::set<std::string> kSetInTasks = {"task", "data", "adapter", "bare"};

std::string join(const std::string& field, const std::string& name) {
  return field.empty() ? name : field + "." + name;
}

std::string shown(const Json& value) {
  constexpr std::size_t kLongest = 40;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

// An object of the recipe, every member of which must be one of `names`.
class Members {
 public:
  Members(const Json& json, ErrorLocation where, std::vector<std::string> names)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) refuse("", "an object", json);
    for (const auto& [name, value] : json.items()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      std::string known;
      for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
      throw InputError({where_.file, join(where_.field, name)},
                       "unknown field; expected one of " + known);
    }
  }

  const Json* find(const std::string& name) const {
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  // `instead` where there is no such member.
  std::string text(const std::string& name, const std::string& instead) const {
    const Json* value = find(name);
    if (value == nullptr) return instead;
    if (!value->is_string()) refuse(name, "a text", *value);
    return value->get<std::string>();
  }
  [[noreturn]] void refuse(const std::string& name, const std::string& expected,
                           const Json& found) const {
    throw InputError({where_.file, name.empty() ? where_.field : join(where_.field, name)},
                     "expected " + expected + ", found " + shown(found));
  }

 private:
  const Json& json_;
  ErrorLocation where_;
};

template <typename StageOptions>
StageOptions read_options(const Json& json, const ErrorLocation& where,
                          const std::set<std::string>& reserved) {
  StageOptions options;
  io::OptionReader reader(json, where, reserved);
  visit_options(options, reader);
  reader.finish();
  return options;
}

// What a row says over what all rows share; null: none. A null within drops one option.
Json over(const Json& shared, const Json* own, const ErrorLocation& where) {
  if (own == nullptr) return shared;
  if (own->is_null()) return *own;
  if (!own->is_object()) {
    throw InputError(where, "expected an object of options or null, found " + shown(*own));
  }
  Json merged = shared.is_null() ? Json::object() : shared;
  for (const auto& [name, value] : own->items()) {
    if (value.is_null()) {
      merged.erase(name);
    } else {
      merged[name] = value;
    }
  }
  return merged;
}

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

// ---------------------------------------------------------------------------------- rows

// A row before its options are read: "vary" makes several of one.
struct Draft {
  std::string name, group;
  Json quantize, plan, calibrate, tune;  // null: none
};

// Writes the value of a varied option where a text has "{rank}"; false: it has no such place.
bool fill_in(std::string& text, const std::string& option, const Json& value) {
  const std::string mark = "{" + option.substr(option.rfind('.') + 1) + "}";
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return false;
  text.replace(at, mark.size(), value.is_string() ? value.get<std::string>() : value.dump());
  return true;
}

// The line of a plot that the rows of "LoftQ {bits}" are on, where none is named: "LoftQ".
std::string without_marks(std::string name) {
  for (std::size_t begin; (begin = name.find('{')) != std::string::npos;) {
    const std::size_t end = name.find('}', begin);
    name.erase(begin, end == std::string::npos ? end : end + 1 - begin);
  }
  return name.substr(0, name.find_last_not_of(" ,=") + 1);
}

std::vector<Draft> vary(const Draft& draft, const Json& varied, const ErrorLocation& where) {
  if (!varied.is_object() || varied.empty()) {
    throw InputError(where, "expected an object of options and lists, found " + shown(varied));
  }
  std::vector<Draft> drafts = {draft};
  for (const auto& [option, values] : varied.items()) {
    const ErrorLocation at{where.file, where.field + "." + option};
    if (!values.is_array() || values.empty()) {
      throw InputError(at, "expected a list of values, found " + shown(values));
    }
    // "plan.bits": of plan; a bare name: of quantize.
    const std::size_t dot = option.find('.');
    const std::string stage = dot == std::string::npos ? "quantize" : option.substr(0, dot);
    const std::map<std::string, Json Draft::*> stages = {{"quantize", &Draft::quantize},
                                                         {"plan", &Draft::plan},
                                                         {"calibrate", &Draft::calibrate},
                                                         {"tune", &Draft::tune}};
    if (!stages.contains(stage) || (draft.*stages.at(stage)).is_null()) {
      throw InputError(at, "the row has no " + stage + " whose option could vary");
    }
    std::vector<Draft> wider;
    for (const Draft& one : drafts) {
      for (const Json& value : values) {
        Draft next = one;
        (next.*stages.at(stage))[option.substr(dot == std::string::npos ? 0 : dot + 1)] = value;
        fill_in(next.group, option, value);
        if (!fill_in(next.name, option, value)) {
          next.name += ", " + option.substr(option.rfind('.') + 1) + " " +
                       (value.is_string() ? value.get<std::string>() : value.dump());
        }
        wider.push_back(std::move(next));
      }
    }
    drafts = std::move(wider);
  }
  return drafts;
}

// Which data set "data" names, taken out of the options.
std::string take_data_set(Json& tune, const ErrorLocation& where) {
  const auto found = tune.find("data");
  if (found == tune.end()) return "train";
  const Json name = *found;
  if (name != "train" && name != "calibration") {
    throw InputError(where, "expected train or calibration, found " + shown(name));
  }
  tune.erase(found);
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
  for (const RowSpec& other : recipe.rows) {
    if (other.slug != row.slug) continue;
    throw InputError(where, "expected a name that no other row has, found \"" + row.name + "\"");
  }
}

void check_together(const RowSpec& row, const fs::path& file) {
  if (!row.quantize || !row.tune) return;
  const pipeline::FinetuneOptions& tune = *row.tune;
  if (tune.method == "full") {
    throw InputError({file, row.field + ".tune.method"},
                     "full fine-tuning needs full-precision weights: expected \"quantize\": null");
  }
  const std::int64_t rank = row.quantize->rank;
  if (rank > 0 && !tune.fresh && tune.rank && *tune.rank != rank) {
    throw InputError({file, row.field + ".tune.rank"}, "expected the rank of quantize, " +
                                                           std::to_string(rank) + ", found " +
                                                           std::to_string(*tune.rank));
  }
}

// What the rows share.
struct Shared {
  Json quantize, plan, calibrate, tune;
};

// Statistics and plans are for the rows that ask for them, be it with nothing of their own.
Json asked_for(const Members& row, const std::string& name, const Json& shared,
               const ErrorLocation& where) {
  const Json* own = row.find(name);
  return own == nullptr ? Json() : over(shared, own, where);
}

Draft draft_of(const Members& row, const Shared& shared, const std::string& field,
               const fs::path& file) {
  const auto at = [&](const char* name) { return ErrorLocation{file, field + "." + name}; };
  Draft draft;
  draft.name = row.text("name", "");
  if (draft.name.empty()) throw InputError(at("name"), "expected a name, found none");
  draft.group = row.text("group", without_marks(draft.name));
  draft.plan = asked_for(row, "plan", shared.plan, at("plan"));
  draft.calibrate = asked_for(row, "calibrate", shared.calibrate, at("calibrate"));
  draft.tune = over(shared.tune, row.find("tune"), at("tune"));
  Json quantize = shared.quantize;
  if (!draft.plan.is_null() && quantize.is_object()) {
    for (const std::string& option : kFormatOptions) quantize.erase(option);
  }
  draft.quantize = over(quantize, row.find("quantize"), at("quantize"));
  for (const char* name : {"plan", "calibrate"}) {
    const bool asked = !(name == std::string("plan") ? draft.plan : draft.calibrate).is_null();
    if (asked && draft.quantize.is_null()) {
      throw InputError(at(name), "the row does not quantize: expected none");
    }
  }
  for (const std::string& option : kFormatOptions) {
    if (draft.plan.is_null() || !draft.quantize.contains(option)) continue;
    throw InputError({file, field + ".quantize." + option},
                     "the row's plan says the formats: expected none");
  }
  return draft;
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
  if (!draft.tune.is_null()) {
    row.tune_data = take_data_set(draft.tune, at("tune.data"));
    row.tune = read_options<pipeline::FinetuneOptions>(draft.tune, at("tune"), kSetInTune);
  }
  check_together(row, file);
  return row;
}

void add_rows(const Json& json, const Shared& shared, const std::string& field,
              const fs::path& file, Recipe& recipe) {
  const Members row(json, {file, field},
                    {"name", "group", "quantize", "plan", "calibrate", "tune", "vary"});
  const Draft draft = draft_of(row, shared, field, file);
  const Json* varied = row.find("vary");
  auto drafts =
      varied == nullptr ? std::vector<Draft>{draft} : vary(draft, *varied, {file, field + ".vary"});
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

Json read_recipe(const fs::path& file, const std::vector<std::string>& set) {
  Json recipe = io::read_json(file);
  for (const std::string& change : set) {
    const std::size_t equals = change.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw InputError({{}, "set"}, "expected FIELD=VALUE, found '" + change + "'");
    }
    Json* at = &recipe;
    std::string path = change.substr(0, equals);
    for (std::size_t dot; (dot = path.find('.')) != std::string::npos; path.erase(0, dot + 1)) {
      at = at->is_object() || at->is_null() ? &(*at)[path.substr(0, dot)] : nullptr;
      if (at == nullptr) break;
    }
    if (at == nullptr || !(at->is_object() || at->is_null())) {
      throw InputError({file, change.substr(0, equals)}, "the recipe has no such field to set");
    }
    const std::string text = change.substr(equals + 1);
    Json value = Json::parse(text, nullptr, false);
    (*at)[path] = value.is_discarded() ? Json(text) : std::move(value);
  }
  return recipe;
}

Recipe parse_recipe(const Json& json, const fs::path& file) {
  const Members top(json, {file, {}},
                    {"description", "tasks", "quantize", "plan", "calibrate", "tune", "rows"});
  Recipe recipe;
  recipe.description = top.text("description", "");
  if (const Json* tasks = top.find("tasks"); tasks != nullptr && !tasks->is_null()) {
    recipe.tasks = read_tasks(*tasks, file);
  }
  const Shared shared = {over(Json::object(), top.find("quantize"), {file, "quantize"}),
                         over(Json::object(), top.find("plan"), {file, "plan"}),
                         over(Json::object(), top.find("calibrate"), {file, "calibrate"}),
                         over(nullptr, top.find("tune"), {file, "tune"})};
  const Json* rows = top.find("rows");
  if (rows == nullptr || !rows->is_array() || rows->empty()) {
    throw InputError({file, "rows"},
                     "expected a list of rows, found " + (rows == nullptr ? "none" : shown(*rows)));
  }
  for (std::size_t i = 0; i < rows->size(); ++i) {
    add_rows((*rows)[i], shared, "rows[" + std::to_string(i) + "]", file, recipe);
  }
  return recipe;
}

}  // namespace qloft::compare
