#include "qloft/compare.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "columns.h"
#include "page.h"
#include "plots.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/resume.h"
#include "recipe.h"
#include "row.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

const char* data_option(const evaluate::Task& task) {
  switch (task.data_set) {
    case evaluate::DataSet::text:
      return "text";
    case evaluate::DataSet::choices:
      return "choices";
    case evaluate::DataSet::rows:
    case evaluate::DataSet::labels:
      break;
  }
  return "test";
}

void expect_file(const fs::path& file, const std::string& option, const std::string& reader,
                 bool or_folder = false) {
  if (file.empty()) {
    throw InputError({{}, option}, "expected a file for the recipe's " + reader + ", found none");
  }
  if (or_folder && fs::is_directory(file)) return;
  if (!fs::is_regular_file(file)) throw InputError({file, {}}, "no such file");
}

void check_data(const Recipe& recipe, const Options& options) {
  for (const TaskSpec& spec : recipe.tasks) pipeline::check_model_options(spec.options.model);
  for (const TaskSpec& spec : recipe.tasks) {
    expect_file(data_of(spec, options), data_option(*spec.task), "tasks." + spec.task->in_recipe,
                spec.task->folder);
    if (spec.needs_examples()) expect_file(options.train, "train", spec.task->example_count);
    check_task(spec, options);
  }
  for (const RowSpec& row : recipe.rows) {
    const auto expect = [&](const std::string& name, const char* stage) {
      expect_file(data_set(name, options), name, row.field + stage);
    };
    if (row.calibrate && !row.calibrate->random_tokens) expect(row.calibrate_data, ".calibrate");
    if (row.recover) expect(row.recover_data, ".recover");
    if (row.tune) expect(row.tune_data, ".tune");
  }
}

// As the model's own tokenizer reads them; each file once.
void read_data(const Recipe& recipe, const Options& options) {
  for (const TaskSpec& spec : recipe.tasks) check_task_data(spec, options);
  std::set<std::string> read;
  for (const RowSpec& row : recipe.rows) {
    if (row.tune && read.insert(row.tune_data).second) check_tuning_data(row, options);
  }
}

// Other programs have files of this name, too.
bool is_recipe(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(file, error))) return false;
  const Json json = Json::parse(read_file(file), nullptr, false);
  return json.is_object() && json.contains("rows") && json["rows"].is_array() &&
         !json["rows"].empty();
}

bool is_empty_but_for_its_lock(const fs::path& folder) {
  std::error_code error;
  return std::ranges::all_of(fs::directory_iterator(folder, error), [](const auto& entry) {
    return entry.path().filename() == pipeline::kLockFile;
  });
}

// OUTPUT is ours if it is empty or holds the recipe of an earlier run, or its lock where it was
// killed before that.
void check_output(const Recipe& recipe, const Options& options) {
  const fs::path& output = options.output;
  if (output.empty()) throw InputError({{}, "output"}, "expected a folder to write to");
  pipeline::expect_place(output);
  for (const RowSpec& row : recipe.rows) {
    pipeline::expect_place(work_folder(row, options) / "quantized");
  }
  std::error_code error;
  if (!fs::exists(output, error)) return;
  if (!fs::is_directory(output, error)) throw InputError({output, {}}, "expected a folder");
  for (const char* removed : {"work", "plots"}) {
    pipeline::expect_no_input(
        output / removed, {options.recipe, options.model, options.text, options.train, options.test,
                           options.choices, options.calibration});
  }
  const bool ours = is_empty_but_for_its_lock(output) || is_recipe(output / "recipe.json") ||
                    signature(output / pipeline::kLockFile) == "compare";
  if (!ours) {
    throw InputError({output, {}},
                     "expected an empty folder or one that compare wrote, found something else");
  }
}

// A row is kept by what auto comes to for this model on this machine, not by its name.
void settle_arithmetic(Recipe& recipe, const Options& options, Progress& progress) {
  const checkpoint::Checkpoint model(checkpoint::resolve(options.model));
  std::string reason;
  const auto settle = [&](auto& stage) {
    const auto choice = pipeline::choose({stage.dtype, stage.matmul}, stage.device, model);
    stage.dtype = choice.arithmetic.dtype;
    stage.matmul = choice.arithmetic.matmul;
    if (reason.empty()) reason = choice.reason;
  };
  for (TaskSpec& spec : recipe.tasks) {
    pipeline::ModelOptions& o = spec.options.model;
    // Before dtype is settled, on which it depends; of other tasks auto means none.
    if (spec.task->caches == evaluate::Caches::always) {
      const pipeline::Arithmetic asked{o.dtype, o.matmul, o.cache_type, o.adapter_type,
                                       o.output_type};
      o.cache_type = pipeline::settled_cache_type(asked);
      o.adapter_type = pipeline::settled_adapter_type(asked, o.device);
      o.output_type = pipeline::settled_output_type(asked, o.device);
    } else if (spec.task->caches == evaluate::Caches::scoring) {
      o.cache_type = pipeline::settled_cache_type(
          {o.dtype, o.matmul, o.cache_type, o.adapter_type, o.output_type});
    }
    settle(o);
  }
  for (RowSpec& row : recipe.rows) {
    if (row.calibrate) settle(row.calibrate->model);
    if (row.recover) settle(*row.recover);
    if (row.tune) settle(*row.tune);
  }
  if (!reason.empty()) progress.note(reason);
}

Interrupted stopped(std::size_t finished, const std::string& total) {
  return Interrupted({}, std::to_string(finished) + " of " + total +
                             " rows are finished and kept; the same command goes on from there");
}

Row finished_row(const RowSpec& plan, std::size_t number, const Recipe& recipe,
                 const Options& options, const Inputs& inputs, Progress& progress) {
  const std::string total = std::to_string(recipe.rows.size());
  const fs::path file = options.output / "rows" / (plan.slug + ".json");
  const Json key = row_key(plan, recipe.tasks, inputs);
  if (const auto kept = pipeline::read_kept(file, key, "row")) {
    Row row = row_from_json(*kept, file);
    row.reused = true;
    // How a row is called is no part of what it depends on.
    row.name = plan.name;
    row.group = plan.group;
    return row;
  }
  if (progress.stop_requested()) throw stopped(number - 1, total);
  PartProgress inner(progress, std::to_string(number) + "/" + total + " " + plan.name);
  Row row;
  try {
    row = run_row(plan, recipe.tasks, options, inputs, inner);
  } catch (const Interrupted&) {
    throw stopped(number - 1, total);
  }
  pipeline::write_kept(file, key, "row", to_json(row));
  std::error_code error;
  if (!options.keep) fs::remove_all(work_folder(plan, options), error);
  return row;
}

FileLock lock_output(const fs::path& output) {
  make_folders(output);
  try {
    return {output / pipeline::kLockFile, output};
  } catch (const Error&) {
    std::error_code error;
    fs::remove(output, error);  // where it is empty
    throw;
  }
}

}  // namespace

Report run(const Options& options, Progress& progress) {
  const Json json = read_recipe(options.recipe, options.set);
  Recipe recipe = parse_recipe(json, options.recipe);
  check_data(recipe, options);
  for (TaskSpec& spec : recipe.tasks) settle_columns(spec, recipe.rows, options);
  check_output(recipe, options);
  for (const RowSpec& row : recipe.rows) check_row(row, options);
  read_data(recipe, options);
  settle_arithmetic(recipe, options, progress);

  FileLock lock = lock_output(options.output);
  lock.sign("compare");
  make_folders(options.output / "rows");
  io::write_json(options.output / "recipe.json", json);
  const Inputs inputs = inputs_of(options);
  Report report;
  report.description = recipe.description;
  report.model = options.model;
  std::size_t reused = 0;
  for (const RowSpec& plan : recipe.rows) {
    report.rows.push_back(
        finished_row(plan, report.rows.size() + 1, recipe, options, inputs, progress));
    if (report.rows.back().reused) ++reused;
  }
  if (reused > 0) {
    progress.note(std::to_string(reused) + " of " + std::to_string(recipe.rows.size()) +
                  " rows were finished already");
  }
  if (!options.keep) remove_whole(options.output / "work");

  report.table = options.output / "table.md";
  report.csv = options.output / "table.csv";
  report.page = options.output / "report.html";
  write_file(report.table, to_markdown(table_of(report)));
  write_file(report.csv, to_csv(report));
  const auto plots = plots_of(report);
  const auto drawn = draw(plots, options.output / "plots", progress);
  for (const auto& plot : drawn) report.plots.push_back(plot.file);
  write_file(report.page, page(report, drawn, json));
  remove_whole(options.output / pipeline::kLockFile);
  return report;
}

}  // namespace qloft::compare
