#include "training_output.h"

#include <optional>
#include <system_error>

#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// When the state in `folder` was saved, the latest where there are several.
std::optional<fs::file_time_type> saved_at(const fs::path& folder) {
  std::error_code error;
  std::optional<fs::file_time_type> latest;
  for (const auto& entry : fs::recursive_directory_iterator(folder / kTrainingFolder, error)) {
    if (entry.path().filename() != kTrainingState) continue;
    const auto time = entry.last_write_time(error);
    if (!error && (!latest || time > *latest)) latest = time;
  }
  return latest;
}

}  // namespace

std::int64_t count_parameters(const model::Model& model) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : model.trainable()) count += tensor.numel();
  return count;
}

bool has_saved_steps(const fs::path& folder) {
  return saved_at(folder).has_value();
}

void expect_mentioned(const OutputFolder& output, bool resume, bool overwrite) {
  if (!has_saved_steps(output.path()) || resume || overwrite) return;
  throw InputError({output.path(), {}},
                   "an interrupted run is here: --resume goes on with it, --overwrite begins "
                   "anew");
}

void begin_training(OutputFolder& output, bool resume, const std::function<void()>& take_up) {
  const bool interrupted = has_saved_steps(output.path());
  if (!interrupted || !resume) output.start_afresh();
  if (!interrupted && resume && take_up) take_up();
  output.keep_if([folder = output.path(), found = saved_at(output.path())] {
    return saved_at(folder) != found;
  });
  make_folders(output.path() / kTrainingFolder);
}

}  // namespace qloft::pipeline
