#pragma once
// A recipe of compare: JSON to the rows that it means.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "qloft/io.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/pipeline/recover.h"

namespace qloft::compare {

// A task that every row is measured by; data and model are not set yet.
struct TaskSpec {
  const evaluate::Task* task;
  pipeline::EvaluateOptions options;

  bool needs_examples() const;  // worked ones, from the training data
};

// One run; paths and models are not set yet.
struct RowSpec {
  std::string name;
  std::string slug;   // the name as a file has it
  std::string group;  // the line of a plot
  std::string field;  // where it stands in the recipe: "rows[2]"
  std::optional<pipeline::QuantizeOptions> quantize;
  // The statistics and the plan that quantize is given; rows with the same ones share a file.
  std::optional<pipeline::CalibrateOptions> calibrate;
  std::string calibrate_data = "calibration";  // or "train": the data set that it reads
  std::optional<pipeline::PlanOptions> plan;
  io::Json plan_candidates;  // formats that the recipe itself lists; null: plan->candidates
  std::optional<pipeline::RecoverOptions> recover;
  std::string recover_data = "calibration";  // or "train": the data set that it reads
  std::optional<pipeline::FinetuneOptions> tune;
  std::string tune_data = "train";  // or "calibration": the data set that it learns from
};

// What `of`, Options or their Inputs, has of the data set that a row names.
inline const auto& data_set(const std::string& name, const auto& of) {
  return name == "train" ? of.train : of.calibration;
}

struct Recipe {
  std::string description;
  std::vector<TaskSpec> tasks;  // in the order of evaluate::tasks()
  std::vector<RowSpec> rows;
};

// Reads the file and makes the changes "tune.steps=20" that `set` asks for.
io::Json read_recipe(const std::filesystem::path& file, const std::vector<std::string>& set);

// Throws InputError naming `file` and the field that is unknown, missing or of the wrong type.
Recipe parse_recipe(const io::Json& json, const std::filesystem::path& file);

}  // namespace qloft::compare
