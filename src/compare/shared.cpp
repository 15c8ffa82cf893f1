#include "shared.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/resume.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

fs::path shared_file(const Options& options, const std::string& kind, const Json& key,
                     const std::string& extension) {
  return options.output / "shared" / (kind + "-" + pipeline::work_name(key) + extension);
}

template <typename StageOptions>
Json echo_of(StageOptions options) {
  Json json = Json::object();
  io::OptionEcho writer(json);
  visit_options(options, writer);
  return pipeline::by_contents(std::move(json));
}

}  // namespace

Inputs inputs_of(const Options& options) {
  const auto of = [](const fs::path& file) {
    std::error_code error;
    return fs::is_regular_file(file, error) ? pipeline::file_fingerprint(file) : std::string();
  };
  // Of a folder all files, by their names.
  const auto of_files = [&](const fs::path& path) {
    std::error_code error;
    std::set<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
      if (entry.is_regular_file(error)) files.insert(entry.path());
    }
    std::string all = of(path);
    for (const fs::path& file : files) {
      all += file.lexically_relative(path).string() + "=" + of(file) + ";";
    }
    return all;
  };
  return {pipeline::model_fingerprint(checkpoint::resolve(options.model)),
          of(options.text),
          of(options.train),
          of(options.test),
          of_files(options.choices),
          of(options.calibration)};
}

Json statistics_key(const RowSpec& row, const Inputs& inputs) {
  if (!row.calibrate) return nullptr;
  return {{"options", echo_of(*row.calibrate)},
          {"model", inputs.model},
          {"data", data_set(row.calibrate_data, inputs)}};
}

Json plan_key(const RowSpec& row, const Inputs& inputs) {
  if (!row.plan) return nullptr;
  return {{"options", echo_of(*row.plan)},
          {"candidates", row.plan_candidates},
          {"statistics", row.plan->metric == "frobenius" ? Json() : statistics_key(row, inputs)},
          {"model", inputs.model}};
}

fs::path shared_statistics(const RowSpec& row, const Options& options, const Inputs& inputs,
                           Progress& progress) {
  fs::path file = shared_file(options, "statistics", statistics_key(row, inputs), ".safetensors");
  std::error_code error;
  pipeline::remove_leftovers(file);
  if (fs::exists(file, error)) return file;
  make_folders(file.parent_path());
  pipeline::CalibrateOptions calibration = *row.calibrate;
  calibration.model.model = options.model;
  if (!calibration.random_tokens) calibration.data = data_set(row.calibrate_data, options);
  calibration.output = file;
  pipeline::calibrate(calibration, progress);
  return file;
}

fs::path shared_plan(const RowSpec& row, const Options& options, const Inputs& inputs,
                     Progress& progress) {
  fs::path file = shared_file(options, "plan", plan_key(row, inputs), ".json");
  std::error_code error;
  if (fs::exists(file, error)) return file;
  make_folders(file.parent_path());
  pipeline::PlanOptions planning = *row.plan;
  planning.model = options.model;
  planning.output = file;
  if (row.calibrate && row.plan->metric != "frobenius") {
    planning.stats = shared_statistics(row, options, inputs, progress);
  }
  if (!row.plan_candidates.is_null()) {
    const fs::path formats = shared_file(options, "candidates", row.plan_candidates, ".json");
    io::write_json(formats, row.plan_candidates);
    planning.candidates = formats.string();
  }
  pipeline::plan(planning, progress);
  return file;
}

}  // namespace qloft::compare
