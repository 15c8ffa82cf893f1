#pragma once
// Takes the sequences of calibrate through the model and writes what they add up to.

#include <filesystem>
#include <string>

#include "calibrate_sequences.h"
#include "load.h"
#include "qloft/core/progress.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/output.h"
#include "qloft/statistics.h"

namespace qloft::pipeline {

inline constexpr const char* kStatisticsFile = "statistics.safetensors";  // in the output's folder

// A task's head gives the names of a model's parameters another beginning than the folder's own.
struct WrittenNames {
  std::string computed, written;

  std::string operator()(const std::string& name) const {
    return name.starts_with(computed) ? written + name.substr(computed.size()) : name;
  }
};

// What `report` says is wanted, in one pass or layer by layer, into the folder's kStatisticsFile;
// the times, and whether an interrupted run was taken up, go into it. Throws Interrupted where
// progress asks to stop, ComputationError where sums are not finite.
void collect(LoadedModel& loaded, const Sequences& sequences, const WrittenNames& written,
             const statistics::Origin& origin, OutputFolder& folder, CalibrateReport& report,
             Progress& progress);

// What each token counts by the loss, of all linear layers but the output matrix. Sums so far stand
// in the folder, until remove_sums(), for a run that goes on. Throws as collect().
calibrate::KeptWeights collect_token_weights(LoadedModel& loaded, const Sequences& sequences,
                                             OutputFolder& folder, Progress& progress);
void remove_sums(const std::filesystem::path& folder);

}  // namespace qloft::pipeline
