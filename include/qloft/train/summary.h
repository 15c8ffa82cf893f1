#pragma once
// What a training run gives back. No torch here.

#include <cstdint>
#include <optional>

namespace qloft::train {

struct Summary {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;  // read, padding not counted
  double first_loss = 0;
  double last_loss = 0;
  std::optional<double> best_validation_loss;
  std::int64_t best_step = 0;  // of best_validation_loss
  bool stopped_early = false;
  double seconds = 0;  // all runs of a resumed one together
  double tokens_per_second = 0;
  std::int64_t truncated_examples = 0;  // cut at the data set's max_length
  std::int64_t skipped_examples = 0;    // without one prediction that counts
};

}  // namespace qloft::train
