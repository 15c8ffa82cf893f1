#pragma once
// Where a run's first epoch puts its examples.

#include <cstdint>
#include <optional>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/data/omissions.h"
#include "qloft/train/options.h"

namespace qloft::train {

// All count from 0.
struct Placement {
  std::int64_t step = 0;
  std::int64_t micro_batch = 0;  // of the step
  std::int64_t row = 0;          // of the micro-batch
  std::int64_t column = 0;       // of the row: 0 unless examples are packed
};

struct Placements {
  data::Omissions omissions;
  std::int64_t tokens = 0;       // of all examples that are not left out
  std::int64_t predictions = 0;  // that count
  std::int64_t steps_per_epoch = 0;
  std::int64_t steps = 0;  // of the whole run
  // Of the first `count` of the indices; nullopt: left out, or behind the run's last step.
  std::vector<std::optional<Placement>> first;
};

// What train() would do with these examples. Reads them all; throws what the data set throws.
Placements place_examples(const data::DataSet& data, const std::vector<std::int64_t>& indices,
                          std::int64_t count, const Options& options, Progress& progress);

}  // namespace qloft::train
