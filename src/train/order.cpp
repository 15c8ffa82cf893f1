#include "order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "qloft/core/checked.h"
#include "qloft/core/error.h"
#include "qloft/core/random.h"

namespace qloft::train {
namespace {

// Streams of the seed: the packing, then for each epoch its permutation and its shuffle.
constexpr std::uint64_t kPackingStream = 1;
std::uint64_t permutation_stream(std::int64_t epoch) {
  return 2 + 2 * static_cast<std::uint64_t>(epoch);
}
std::uint64_t shuffle_stream(std::int64_t epoch) {
  return 3 + 2 * static_cast<std::uint64_t>(epoch);
}

// Packing looks at this many examples at a time: enough to fill rows well.
constexpr std::int64_t kPackingWindow = 1024;

}  // namespace

std::vector<MicroBatch> first_fit_rows(const std::vector<std::int64_t>& examples,
                                       const std::vector<std::int32_t>& lengths,
                                       std::int64_t length) {
  const auto length_of = [&](std::int64_t example) {
    return std::min<std::int64_t>(lengths[static_cast<std::size_t>(example)], length);
  };
  std::vector<std::int64_t> sorted = examples;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::int64_t a, std::int64_t b) { return length_of(a) > length_of(b); });
  std::vector<MicroBatch> rows;
  std::vector<std::int64_t> space;
  for (const std::int64_t example : sorted) {
    const std::int64_t needed = length_of(example);
    std::size_t row = 0;
    while (row < rows.size() && space[row] < needed) ++row;
    if (row == rows.size()) {
      rows.emplace_back();
      space.push_back(length);
    }
    rows[row].push_back(example);
    space[row] -= needed;
  }
  return rows;
}

std::int64_t total_steps(const Options& options, std::int64_t steps_per_epoch) {
  if (options.max_steps > 0) return options.max_steps;
  const double steps = std::ceil(options.epochs * static_cast<double>(steps_per_epoch));
  if (!(steps < 1e15)) throw InputError({{}, "epochs"}, "too many steps");
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
}

Order::Order(std::vector<std::int32_t> lengths, const Options& options)
    : lengths_(std::move(lengths)),
      batching_(options.batching),
      batch_(options.batch),
      accumulate_(options.accumulate),
      row_length_(options.length),
      seed_(options.seed) {
  if (batching_ == data::Batching::packed) pack_rows();
}

std::int64_t Order::steps_per_epoch() const {
  const auto units = static_cast<std::int64_t>(
      batching_ == data::Batching::packed ? rows_.size() : lengths_.size());
  return ceil_divide(ceil_divide(units, batch_), accumulate_);
}

std::vector<MicroBatch> Order::step(std::int64_t step) {
  const std::int64_t steps = steps_per_epoch();
  plan_epoch(step / steps);
  const auto count = static_cast<std::int64_t>(epoch_.size());
  const std::int64_t begin = (step % steps) * accumulate_;
  const std::int64_t end = std::min(begin + accumulate_, count);
  return {epoch_.begin() + begin, epoch_.begin() + end};
}

std::vector<std::int64_t> Order::permutation(std::uint64_t stream) const {
  std::vector<std::int64_t> examples(lengths_.size());
  std::iota(examples.begin(), examples.end(), 0);
  Random(seed_, stream).shuffle(std::span(examples));
  return examples;
}

void Order::plan_epoch(std::int64_t epoch) {
  if (epoch == planned_) return;
  epoch_.clear();
  if (batching_ == data::Batching::padded) {
    plan_padded(epoch);
  } else {
    std::vector<std::size_t> order(rows_.size());
    std::iota(order.begin(), order.end(), 0);
    Random(seed_, shuffle_stream(epoch)).shuffle(std::span(order));
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i % static_cast<std::size_t>(batch_) == 0) epoch_.emplace_back();
      const MicroBatch& row = rows_[order[i]];
      epoch_.back().insert(epoch_.back().end(), row.begin(), row.end());
    }
  }
  planned_ = epoch;
}

void Order::plan_padded(std::int64_t epoch) {
  const std::vector<std::int64_t> examples = permutation(permutation_stream(epoch));
  Random random(seed_, shuffle_stream(epoch));
  const auto count = static_cast<std::int64_t>(examples.size());
  const std::int64_t window = checked_multiply(batch_, kWindow, "batch");
  for (std::int64_t begin = 0; begin < count; begin += window) {
    const std::int64_t end = std::min(begin + window, count);
    std::vector<std::int64_t> part(examples.begin() + begin, examples.begin() + end);
    std::stable_sort(part.begin(), part.end(), [&](std::int64_t a, std::int64_t b) {
      return lengths_[static_cast<std::size_t>(a)] > lengths_[static_cast<std::size_t>(b)];
    });
    const auto first = epoch_.size();
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (i % static_cast<std::size_t>(batch_) == 0) epoch_.emplace_back();
      epoch_.back().push_back(part[i]);
    }
    random.shuffle(std::span(epoch_).subspan(first));
  }
}

void Order::pack_rows() {
  const std::vector<std::int64_t> examples = permutation(kPackingStream);
  const auto count = static_cast<std::int64_t>(examples.size());
  for (std::int64_t begin = 0; begin < count; begin += kPackingWindow) {
    const std::int64_t end = std::min(begin + kPackingWindow, count);
    const std::vector<std::int64_t> part(examples.begin() + begin, examples.begin() + end);
    for (MicroBatch& row : first_fit_rows(part, lengths_, row_length_)) {
      rows_.push_back(std::move(row));
    }
  }
}

}  // namespace qloft::train
