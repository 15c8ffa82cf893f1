#pragma once
// One row of a comparison: what it depends on, what quantize and finetune would refuse, its run.

#include "qloft/compare.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "recipe.h"
#include "shared.h"

namespace qloft::compare {

// What a task reads.
const std::filesystem::path& data_of(const TaskSpec& spec, const Options& options);

// Everything that the row's figures depend on: options, and the contents of model and data.
io::Json row_key(const RowSpec& row, const std::vector<TaskSpec>& tasks, const Inputs& inputs);

// Throws InputError for what evaluate refuses before a model is loaded.
void check_task(const TaskSpec& spec, const Options& options);

// Throw InputError naming the place that is wrong in the data of the task, or of what the row is
// tuned on.
void check_task_data(const TaskSpec& spec, const Options& options);
void check_tuning_data(const RowSpec& row, const Options& options);

// Throws InputError naming the recipe and the row for what quantize or finetune refuses before they
// begin.
void check_row(const RowSpec& row, const Options& options);

// Where the row's models stand meanwhile.
std::filesystem::path work_folder(const RowSpec& row, const Options& options);

// Quantizes, measures, tunes, measures again.
Row run_row(const RowSpec& row, const std::vector<TaskSpec>& tasks, const Options& options,
            const Inputs& inputs, Progress& progress);

}  // namespace qloft::compare
