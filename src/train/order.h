#pragma once
// Which examples each step reads: a function of lengths, options and seed alone, so that a resumed
// run finds its place by the number of the step. No torch, no files.

#include <cstdint>
#include <vector>

#include "qloft/train/options.h"

namespace qloft::train {

// Indices into the list of examples that go through the model together.
using MicroBatch = std::vector<std::int64_t>;

class Order {
 public:
  // lengths[i]: tokens of example i.
  //
  // Padded: each epoch has its own permutation, cut into windows of kWindow micro-batches; within a
  // window examples are sorted by length, so that little is padded, and the micro-batches shuffled.
  // Packed: one permutation cut into windows; each window's examples are laid into rows of
  // options.length first-fit decreasing; the rows are shuffled anew each epoch.
  Order(std::vector<std::int32_t> lengths, const Options& options);

  std::int64_t steps_per_epoch() const;
  // The micro-batches of `step` (from 0), at most options.accumulate; an epoch's last step may have
  // fewer, and its last micro-batch fewer examples.
  std::vector<MicroBatch> step(std::int64_t step);

  static constexpr std::int64_t kWindow = 32;

 private:
  std::vector<std::int64_t> permutation(std::uint64_t stream) const;
  void plan_epoch(std::int64_t epoch);
  void plan_padded(std::int64_t epoch);
  void pack_rows();

  std::vector<std::int32_t> lengths_;
  data::Batching batching_;
  std::int64_t batch_, accumulate_, row_length_;
  std::uint64_t seed_;
  std::vector<MicroBatch> rows_;   // packed: the examples of each row
  std::vector<MicroBatch> epoch_;  // micro-batches of the planned epoch
  std::int64_t planned_ = -1;
};

// Of the whole run. Throws InputError where epochs make too many.
std::int64_t total_steps(const Options& options, std::int64_t steps_per_epoch);

// Examples laid into rows of `length` tokens first-fit decreasing, ties in the given order: the
// same rows as data::make_packed_batches gives, also for any subset of whole rows.
std::vector<MicroBatch> first_fit_rows(const std::vector<std::int64_t>& examples,
                                       const std::vector<std::int32_t>& lengths,
                                       std::int64_t length);

}  // namespace qloft::train
