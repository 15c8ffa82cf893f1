#include "qloft/train/placement.h"

#include <algorithm>

#include "order.h"
#include "qloft/train/examples.h"

namespace qloft::train {
namespace {

// Where data::make_padded_batch and make_packed_batch put the examples of a micro-batch.
std::vector<Placement> places_in(const MicroBatch& examples,
                                 const std::vector<std::int32_t>& lengths, const Options& options) {
  const bool packed = options.batching == data::Batching::packed;
  std::vector<Placement> places;
  std::int64_t row = 0, used = 0;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::int64_t length = lengths[static_cast<std::size_t>(examples[i])];
    if (i > 0 && (!packed || used + length > options.length)) {
      ++row;
      used = 0;
    }
    places.push_back({.row = row, .column = used});
    used += length;
  }
  return places;
}

}  // namespace

Placements place_examples(const data::DataSet& data, const std::vector<std::int64_t>& indices,
                          std::int64_t count, const Options& options, Progress& progress) {
  const Examples examples(data, indices, progress);
  Placements out;
  out.omissions = examples.omissions();
  out.predictions = examples.predictions();
  for (const std::int32_t length : examples.lengths()) out.tokens += length;
  const auto wanted = static_cast<std::size_t>(
      std::clamp<std::int64_t>(count, 0, static_cast<std::int64_t>(indices.size())));
  out.first.resize(wanted);
  if (examples.size() == 0) return out;

  Order order(examples.lengths(), options);
  out.steps_per_epoch = order.steps_per_epoch();
  out.steps = total_steps(options, out.steps_per_epoch);
  for (std::int64_t step = 0; step < std::min(out.steps, out.steps_per_epoch); ++step) {
    const std::vector<MicroBatch> micro_batches = order.step(step);
    for (std::size_t m = 0; m < micro_batches.size(); ++m) {
      const std::vector<Placement> places =
          places_in(micro_batches[m], examples.lengths(), options);
      for (std::size_t i = 0; i < places.size(); ++i) {
        const std::int64_t index =
            examples.indices()[static_cast<std::size_t>(micro_batches[m][i])];
        const auto found =
            std::find(indices.begin(), indices.begin() + std::ssize(out.first), index);
        const auto which = static_cast<std::size_t>(found - indices.begin());
        if (which == wanted) continue;
        out.first[which] = places[i];
        out.first[which]->step = step;
        out.first[which]->micro_batch = static_cast<std::int64_t>(m);
      }
    }
  }
  return out;
}

}  // namespace qloft::train
