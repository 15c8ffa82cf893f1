#pragma once
// The states between two blocks in a file, for a run that is interrupted.

#include <filesystem>
#include <optional>

#include "qloft/calibrate/sequential.h"

namespace qloft::pipeline {

// FOLDER/states.safetensors, whole at once: full.N and quantized.N [1, length, columns] of sequence
// N.
void write_states(const std::filesystem::path& folder,
                  const calibrate::SequentialInputs::States& states);
// nullopt: there is no such file, or it is not of sequences and a model as these states are.
std::optional<calibrate::SequentialInputs::States> read_states(
    const std::filesystem::path& folder, const calibrate::SequentialInputs::States& like);
// Of a run that needs them no longer; throws SystemError where they cannot be.
void remove_states(const std::filesystem::path& folder);

}  // namespace qloft::pipeline
