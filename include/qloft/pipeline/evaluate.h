#pragma once
// Stage: a model and a task to named scores.

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data/named_columns.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/model_options.h"

namespace qloft::pipeline {

struct EvaluateOptions {
  ModelOptions model;
  std::string task = "perplexity";
  std::filesystem::path data;  // a text file or JSON Lines, as the task says
  // Of all tasks; a task reads its own (evaluate::set changes one).
  std::vector<evaluate::Setting> settings = evaluate::all_settings();
};

struct EvaluateReport {
  std::string task;
  Arithmetic arithmetic;  // without auto
  bool cached = false;    // keys and values went through a cache
  evaluate::Scores scores;
  double seconds = 0;
};

// Throws InputError for an unknown task, settings or data that it refuses, before the model is
// loaded; ComputationError where a loss or a weight is not finite.
EvaluateReport evaluate(const EvaluateOptions& options, Progress& progress);
// Throws InputError for what evaluate refuses before the model is loaded; warns as it does.
void check_evaluate(const EvaluateOptions& options, Progress& progress);
// Whether the model or its adapter has a head for the task, if it needs one. Throws InputError for
// a model that cannot have one.
bool can_be_evaluated(const EvaluateOptions& options);
// The columns of a task whose labels are not its own (evaluate::Task::find_head), its labels named:
// by the options, else the model's, else those of `learned`.
data::NamedColumns named_columns(const EvaluateOptions& options,
                                 const std::vector<std::filesystem::path>& learned);
// What check_evaluate leaves: all of the data by the model's tokenizer. Warns as evaluate does.
void check_data(const EvaluateOptions& options, Progress& progress);

}  // namespace qloft::pipeline
