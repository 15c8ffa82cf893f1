#include "qloft/train/examples.h"

#include <algorithm>
#include <limits>
#include <span>

#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"

namespace qloft::train {
namespace {

constexpr std::int64_t kBlock = 1024;

}  // namespace

Examples::Examples(const data::DataSet& data, const std::vector<std::int64_t>& indices,
                   Progress& progress)
    : data_(data) {
  const auto count = static_cast<std::int64_t>(indices.size());
  progress.begin("read data", static_cast<std::uint64_t>(count), "examples");
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped while the data were read");
    const std::int64_t end = std::min(begin + kBlock, count);
    const auto block = std::span(indices).subspan(static_cast<std::size_t>(begin),
                                                  static_cast<std::size_t>(end - begin));
    const std::vector<data::Example> examples = data.get(block);
    for (std::size_t i = 0; i < examples.size(); ++i) {
      omissions_.add(data, block[i], examples[i]);
      take(block[i], examples[i], kKeptTokens);
    }
    progress.update(static_cast<std::uint64_t>(end), {});
  }
  progress.end();
}

Examples::Examples(const std::vector<data::Example>& examples) {
  for (std::size_t i = 0; i < examples.size(); ++i) {
    take(static_cast<std::int64_t>(i), examples[i], std::numeric_limits<std::int64_t>::max());
  }
}

Examples read_examples(const data::DataSet& data, const std::vector<std::int64_t>& indices,
                       Progress& progress) {
  Examples examples(data, indices, progress);
  if (examples.size() == 0) {
    if (indices.empty()) throw InputError("expected at least one example, found none");
    throw InputError({data.location(indices.front()).file, {}},
                     "none of the " + std::to_string(indices.size()) +
                         " examples has a token that counts; is the length too short for the "
                         "prompts?");
  }
  return examples;
}

void Examples::take(std::int64_t index, const data::Example& example, std::int64_t most_kept) {
  if (!data::has_prediction(example)) return;
  fingerprint_ = mix(fingerprint_, std::as_bytes(std::span(example.ids)));
  fingerprint_ = mix(fingerprint_, std::as_bytes(std::span(example.loss_mask)));
  const auto length = static_cast<std::int64_t>(example.ids.size());
  const auto kept = static_cast<std::int64_t>(ids_.size());
  if (offsets_.size() == indices_.size() && kept + length <= most_kept) {
    offsets_.push_back(kept);
    ids_.insert(ids_.end(), example.ids.begin(), example.ids.end());
    loss_mask_.insert(loss_mask_.end(), example.loss_mask.begin(), example.loss_mask.end());
  }
  indices_.push_back(index);
  lengths_.push_back(static_cast<std::int32_t>(length));
  predictions_ += std::count_if(example.loss_mask.begin() + 1, example.loss_mask.end(),
                                [](std::uint8_t counts) { return counts != 0; });
}

std::vector<data::Example> Examples::get(const std::vector<std::int64_t>& places) const {
  std::vector<data::Example> examples(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto place = static_cast<std::size_t>(places[i]);
    if (place >= offsets_.size()) {
      examples[i] = data_->get(indices_[place]);
      continue;
    }
    const auto begin = static_cast<std::ptrdiff_t>(offsets_[place]);
    const auto end = begin + lengths_[place];
    examples[i].ids.assign(ids_.begin() + begin, ids_.begin() + end);
    examples[i].loss_mask.assign(loss_mask_.begin() + begin, loss_mask_.begin() + end);
  }
  return examples;
}

}  // namespace qloft::train
