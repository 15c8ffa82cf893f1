#pragma once
// Weights that are finite, and so large that a loss or an activation is not: which file has them.

#include <filesystem>
#include <vector>

namespace qloft::pipeline {

// Rethrows the ComputationError that is being handled. Where a value in these .safetensors files,
// or in those of these folders, is beyond what weights are, the error is at the tensor with the
// largest one, or at the alpha of an adapter.
[[noreturn]] void rethrow_at_largest(const std::vector<std::filesystem::path>& read);

}  // namespace qloft::pipeline
