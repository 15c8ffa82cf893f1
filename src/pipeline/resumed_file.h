#pragma once
// The one file of tensors that a stage writes piece by piece into its folder.

#include <map>
#include <string>
#include <vector>

#include "qloft/io.h"
#include "qloft/pipeline/output.h"

namespace qloft::pipeline {

// The file of the interrupted run where its header was written, else a new one, for which all that
// the run left is removed: folder.resumes() then says which.
io::SafetensorsWriter reopen_or_create(OutputFolder& folder, const char* name,
                                       const std::vector<io::TensorInfo>& tensors,
                                       const std::map<std::string, std::string>& metadata);

}  // namespace qloft::pipeline
