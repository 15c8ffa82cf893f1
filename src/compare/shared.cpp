#include "shared.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

using io::Json;

// FNV-1a, so that names are the same on every machine.
std::string hash_name(const Json& key) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : key.dump()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

fs::path place(const Options& options, const std::string& kind, const Json& key,
               const std::string& extension) {
  return options.output / "shared" / (kind + "-" + hash_name(key) + extension);
}

template <typename StageOptions>
Json echo_of(StageOptions options) {
  Json json = Json::object();
  io::OptionEcho writer(json);
  visit_options(options, writer);
  return json;
}

}  // namespace

Json file_identity(const fs::path& file) {
  std::error_code error;
  return {fs::weakly_canonical(file, error).string(), fs::file_size(file, error),
          fs::last_write_time(file, error).time_since_epoch().count()};
}

Json folder_identity(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Json json = Json::array();
  for (const fs::path& file : files) json.push_back(file_identity(file));
  return json;
}

Json statistics_key(const RowSpec& row, const Options& options) {
  if (!row.calibrate) return nullptr;
  return {{"options", echo_of(*row.calibrate)},
          {"model", folder_identity(checkpoint::resolve(options.model))},
          {"data", file_identity(options.calibration)}};
}

Json plan_key(const RowSpec& row, const Options& options) {
  if (!row.plan) return nullptr;
  return {{"options", echo_of(*row.plan)},
          {"candidates", row.plan_candidates},
          {"statistics", row.plan->metric == "frobenius" ? Json() : statistics_key(row, options)},
          {"model", folder_identity(checkpoint::resolve(options.model))}};
}

fs::path shared_statistics(const RowSpec& row, const Options& options, Progress& progress) {
  const fs::path file = place(options, "statistics", statistics_key(row, options), ".safetensors");
  std::error_code error;
  if (fs::exists(file, error)) return file;
  fs::create_directories(file.parent_path());
  pipeline::CalibrateOptions calibration = *row.calibrate;
  calibration.model.model = options.model;
  calibration.data = options.calibration;
  calibration.output = file;
  pipeline::calibrate(calibration, progress);
  return file;
}

fs::path shared_plan(const RowSpec& row, const Options& options, Progress& progress) {
  const fs::path file = place(options, "plan", plan_key(row, options), ".json");
  std::error_code error;
  if (fs::exists(file, error)) return file;
  fs::create_directories(file.parent_path());
  pipeline::PlanOptions planning = *row.plan;
  planning.model = options.model;
  planning.output = file;
  if (row.calibrate && row.plan->metric != "frobenius") {
    planning.stats = shared_statistics(row, options, progress);
  }
  if (!row.plan_candidates.is_null()) {
    const fs::path formats = place(options, "candidates", row.plan_candidates, ".json");
    io::write_json(formats, row.plan_candidates);
    planning.candidates = formats.string();
  }
  pipeline::plan(planning, progress);
  return file;
}

}  // namespace qloft::compare
