#pragma once
// recover() as a part of another stage.

#include <filesystem>
#include <functional>

#include "qloft/pipeline/recover.h"

namespace qloft::pipeline {

// `clear` removes what only an interrupted run of the whole needs, when OUTPUT is in its place.
RecoverReport recover(const RecoverOptions& options, Progress& progress,
                      const std::function<void()>& clear);

// Whether an interrupted run has saved steps for this output.
bool has_saved_recovery(const std::filesystem::path& output);

}  // namespace qloft::pipeline
