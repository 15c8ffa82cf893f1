#pragma once
// The folder that recover() writes but for its adapter and config.json.

#include <filesystem>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/model.h"
#include "qloft/quantized/model_files.h"

namespace qloft::pipeline {

// Where a quantized folder holds its adapter.
inline constexpr const char* kAdapterFolder = "adapter";

// Into `folder` what `files` holds: linked if the file system can, else copied, but tensors written
// anew where some of them were trained: `vectors` as f32, since a step of training is less than
// bf16 shows, and packed matrices whose scales the model trains.
void write_recovered(const quantized::ModelFiles& files, const model::Model& model,
                     const std::vector<architecture::ParameterId>& vectors,
                     const std::filesystem::path& folder);

}  // namespace qloft::pipeline
