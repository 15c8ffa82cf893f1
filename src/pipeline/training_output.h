#pragma once
// The folder of a run that train() saves in: what of an earlier one is there, and goes on.

#include <cstdint>
#include <filesystem>
#include <functional>

#include "qloft/model.h"
#include "qloft/pipeline/output.h"
#include "qloft/train/options.h"

namespace qloft::pipeline {

inline constexpr const char* kTrainingFolder = "training";
inline constexpr const char* kTrainingState = "training_state.safetensors";

// Under which a model has the adapter that is trained.
inline constexpr const char* kAdapterName = "default";

// How many numbers are trained.
std::int64_t count_parameters(const model::Model& model);

// Whether steps were saved in `folder`.
bool has_saved_steps(const std::filesystem::path& folder);

// Throws InputError where an interrupted run is there that neither resume nor overwrite mentions.
void expect_mentioned(const OutputFolder& output, bool resume, bool overwrite);

// Unlike the stages with a journal such a run goes on only where resume asks; what it depends on is
// kept and compared by the training state. Else what is there is removed, and where resume asks,
// `take_up` fetches a run that is done. From here on the folder is kept as soon as steps are saved:
// a run that fails before leaves nothing. Makes the folder of the state.
void begin_training(OutputFolder& output, bool resume, const std::function<void()>& take_up = {});

}  // namespace qloft::pipeline
