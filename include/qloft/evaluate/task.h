#pragma once
// A task is a row: a name, settings with their defaults, the scores that it gives, and what runs it
// (src/evaluate/tasks has a file each, and tasks.cpp lists them). No torch here.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/core/options.h"
#include "qloft/core/progress.h"
#include "qloft/evaluate/score.h"

namespace qloft::evaluate {

using SettingValue = std::variant<std::int64_t, double, std::string, std::filesystem::path,
                                  std::vector<std::string>>;

// An option of a task, as core/options.h declares options, with its value.
struct Setting {
  std::string flags;  // "--few-shot"
  SettingValue value;
  std::string help;
  std::int64_t most = kMostOfAnOption;  // of a number
};

// What a task is asked for.
struct Request {
  std::filesystem::path data;
  std::vector<Setting> settings;  // of all tasks; this one's count
};

// What belongs to a model, and the model with it, loaded (qloft/evaluate.h).
struct Materials;
struct Subject;
// What a task is learned from (qloft/evaluate.h).
struct TrainingSet;

// How a task is learned, beside its settings.
struct Learning {
  double label_smoothing = 0;  // of tasks that have it: the share of a target that all tokens have
};

// The data of a request as its task made them ready.
using Prepared = std::shared_ptr<const void>;

// What the head of a task is found by that has no labels of its own.
struct HeadSource {
  std::optional<architecture::HeadRequest> own;  // of the model, or as its adapter was trained
  std::filesystem::path file;                    // the config.json that says so
  std::vector<std::filesystem::path> learned;    // what it is to learn; empty: it has learned
};

// The same options of several stages have the same words.
inline constexpr const char* kTextColumnHelp =
    "the column of the text, or those of two (sentence1,sentence2, premise,hypothesis, "
    "question1,question2, question,sentence, sentence, text, or the only others)";
inline constexpr const char* kLabelColumnHelp =
    "the column of the labels (label; of regression score too)";
inline constexpr const char* kLabelsHelp =
    "the labels, in the order of the head (its own, or those of the training data)";

// Whether a task keeps keys and values of past positions. scoring: always, by weights as they are.
enum class Caches : std::uint8_t { none, where_asked_for, always, scoring };

// What --data is: a text; rows of JSON; questions with choices, JSON too; texts with labels, JSON,
// .tsv or .csv.
enum class DataSet : std::uint8_t { text, rows, choices, labels };

struct Task {
  std::string name;       // of --task
  std::string in_recipe;  // its member in the "tasks" of a recipe
  std::string kind = {};  // what help calls it together with others of its kind; empty: by its name
  DataSet data_set = DataSet::rows;
  bool folder = false;  // it reads a folder too
  // What the model must have, and is given to be tuned; nullopt: it must predict next tokens.
  std::optional<architecture::HeadRequest> head = {};
  // In its place, where the labels depend on what is asked for. Throws InputError naming where they
  // are missing.
  architecture::HeadRequest (*find_head)(const std::vector<Setting>& settings,
                                         const HeadSource& source) = nullptr;
  bool needs_head() const { return head.has_value() || find_head != nullptr; }
  Caches caches = Caches::none;
  // A setting that is a number of worked examples, and the one that says which file has them.
  std::string example_count, example_file;
  std::string teacher;  // the setting that names a second model, which is loaded too; empty: none
  bool label_smoothing = false;  // its loss can be smoothed (Learning)
  std::vector<ScoreInfo> scores;
  std::vector<Setting> settings;

  // Throws InputError for settings and data that cannot be evaluated by a model of so many
  // positions (0: any number), before it is loaded; warns where some of the data cannot be scored.
  void (*check)(const Request& request, std::int64_t positions, Progress& progress) = nullptr;
  // All of the data as this model's tokenizer and chat template make them, read before its weights
  // are. Throws InputError naming the place in the data that is wrong.
  Prepared (*prepare)(const Materials& materials, const Request& request,
                      Progress& progress) = nullptr;
  // `prepared` of the same request. Throws ComputationError naming a tensor, or the part of the
  // data, where a loss is not finite.
  Scores (*run)(const Subject& subject, const Request& request, const Prepared& prepared,
                Progress& progress) = nullptr;
  // Of tasks that finetune takes by name: the files as they are learned, by the same settings. The
  // best model is the one whose first score is best.
  TrainingSet (*learn)(const Materials& materials, const std::vector<std::filesystem::path>& files,
                       const std::vector<Setting>& settings, const Learning& learning,
                       Progress& progress) = nullptr;
};

const std::vector<Task>& tasks();
// Throws InputError for a name that is not known.
const Task& task(std::string_view name);

// Throws InputError for a name that is not one of a task that is learned.
const Task& learned_task(std::string_view name);

// What the model must have for these settings, and is given; nullopt: it must predict next tokens.
std::optional<architecture::HeadRequest> head_of(const Task& task,
                                                 const std::vector<Setting>& settings,
                                                 const HeadSource& source);

// The settings of all tasks, those of one name once, each with the tasks that it is for in its
// help.
std::vector<Setting> all_settings();
// Throws std::out_of_range where there is no such setting; std::bad_variant_access for another
// type.
void set(std::vector<Setting>& settings, std::string_view name, SettingValue value);
const Setting& setting(const std::vector<Setting>& settings, std::string_view name);

// Throws InputError naming a setting that is set to something else than its default and belongs to
// other tasks alone.
void expect_own_settings(const Task& task, const std::vector<Setting>& settings);

// What --task and --data take, for --help.
std::string task_help();
std::string data_help();

// Every score that comparisons show, in the order of the tasks.
std::vector<ScoreInfo> compared_scores();

}  // namespace qloft::evaluate
