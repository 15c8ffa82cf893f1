#include <algorithm>
#include <stdexcept>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

// "A", "A or B", "A, B or C"
std::string alternatives(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool last = i + 1 == names.size();
    text += (i == 0 ? "" : last ? " or " : ", ") + names[i];
  }
  return text;
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> names_where(bool (*wanted)(const Task&)) {
  std::vector<std::string> names;
  for (const Task& task : tasks()) {
    if (wanted(task)) names.push_back(task.name);
  }
  return names;
}

// As help has them: those of a kind once.
void add_for_help(const Task& task, std::vector<std::string>& names) {
  const std::string& name = task.kind.empty() ? task.name : task.kind;
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

std::vector<std::string> kinds_where(bool (*wanted)(const Task&)) {
  std::vector<std::string> names;
  for (const Task& task : tasks()) {
    if (wanted(task)) add_for_help(task, names);
  }
  return names;
}

auto find(auto& settings, std::string_view name) {
  const auto found = std::ranges::find_if(
      settings, [&](const Setting& s) { return option_name(s.flags) == name; });
  if (found == settings.end())
    throw std::out_of_range("no task has the setting " + std::string(name));
  return found;
}

}  // namespace

const std::vector<Task>& tasks() {
  static const std::vector<Task> rows = [] {
    std::vector<Task> out = {perplexity_task(),    divergence_task(), loss_task(),
                             gsm8k_task(),         mmlu_task(),       arc_easy_task(),
                             arc_challenge_task(), hellaswag_task(),  piqa_task(),
                             winogrande_task(),    boolq_task()};
    for (Task& row : label_task_rows()) out.push_back(std::move(row));
    out.push_back(classification_task());
    out.push_back(regression_task());
    out.push_back(squad_task());
    out.push_back(squad_v2_task());
    out.push_back(summarization_task());
    return out;
  }();
  return rows;
}

const Task& task(std::string_view name) {
  for (const Task& task : tasks()) {
    if (task.name == name) return task;
  }
  throw InputError({{}, "task"},
                   "expected " + task_help() + ", found '" + std::string(name) + "'" +
                       suggestion(name, names_where([](const Task&) { return true; })));
}

const Task& learned_task(std::string_view name) {
  const auto learned = [](const Task& t) { return t.learn != nullptr; };
  for (const Task& task : tasks()) {
    if (learned(task) && task.name == name) return task;
  }
  throw InputError({{}, "task"}, "expected " + alternatives(names_where(learned)) + ", found '" +
                                     std::string(name) + "'" +
                                     suggestion(name, names_where(learned)));
}

std::optional<architecture::HeadRequest> head_of(const Task& task,
                                                 const std::vector<Setting>& settings,
                                                 const HeadSource& source) {
  if (task.find_head == nullptr) return task.head;
  return task.find_head(settings, source);
}

std::vector<Setting> all_settings() {
  std::vector<Setting> settings;
  std::vector<std::vector<std::string>> users;
  const std::size_t all = kinds_where([](const Task&) { return true; }).size();
  for (const Task& task : tasks()) {
    for (const Setting& setting : task.settings) {
      const auto same = std::ranges::find(settings, setting.flags, &Setting::flags);
      const auto at = same - settings.begin();
      if (same == settings.end()) {
        settings.push_back(setting);
        users.emplace_back();
      }
      add_for_help(task, users[static_cast<std::size_t>(at)]);
    }
  }
  for (std::size_t i = 0; i < settings.size(); ++i) {
    if (users[i].size() < all) settings[i].help = list(users[i]) + ": " + settings[i].help;
  }
  return settings;
}

void set(std::vector<Setting>& settings, std::string_view name, SettingValue value) {
  Setting& setting = *find(settings, name);
  if (setting.value.index() != value.index()) throw std::bad_variant_access();
  setting.value = std::move(value);
}

const Setting& setting(const std::vector<Setting>& settings, std::string_view name) {
  return *find(settings, name);
}

void expect_own_settings(const Task& task, const std::vector<Setting>& settings) {
  for (const Setting& known : all_settings()) {
    const auto given = std::ranges::find(settings, known.flags, &Setting::flags);
    if (given == settings.end() || given->value == known.value) continue;
    std::vector<std::string> owners;
    for (const Task& other : tasks()) {
      const auto same = std::ranges::find(other.settings, known.flags, &Setting::flags);
      if (same != other.settings.end()) add_for_help(other, owners);
    }
    if (std::ranges::find(task.settings, known.flags, &Setting::flags) != task.settings.end()) {
      continue;
    }
    throw InputError(
        {{}, option_name(known.flags)},
        "expected it with the task " + alternatives(owners) + ", found it with " + task.name);
  }
}

std::string task_help() {
  return alternatives(names_where([](const Task&) { return true; }));
}

std::string data_help() {
  const auto reads_text = [](const Task& t) { return t.data_set == DataSet::text; };
  const auto reads_labels = [](const Task& t) { return t.data_set == DataSet::labels; };
  return "a text file (" + list(kinds_where(reads_text)) +
         "), or JSON Lines or an array (the others), .tsv or .csv (" +
         list(kinds_where(reads_labels)) + "), or a folder with dev and test (" +
         list(kinds_where([](const Task& t) { return t.folder; })) + ")";
}

std::vector<ScoreInfo> compared_scores() {
  std::vector<ScoreInfo> infos;
  for (const Task& task : tasks()) {
    for (const ScoreInfo& info : task.scores) {
      if (info.compared) infos.push_back(info);
    }
  }
  return infos;
}

}  // namespace qloft::evaluate
