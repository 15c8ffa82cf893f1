#pragma once
// What a head says of many sequences, nothing learned.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/model.h"

namespace qloft::train {

// `score` takes the places of each batch in turn, at most `batch` of them, which is at least 1;
// those of like length together, the longest first, without gradients. Leaves the model out of
// training mode. `stage` and `unit`: what progress is told. Throws Interrupted where it asks to
// stop.
void score_batches(model::Model& model, const std::vector<std::int64_t>& lengths,
                   std::int64_t batch, const std::string& stage, const std::string& unit,
                   Progress& progress,
                   const std::function<void(const std::vector<std::int64_t>& places)>& score);

}  // namespace qloft::train
