#include "qloft/train/sequence_pairs.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <span>
#include <utility>

#include "qloft/objectives.h"

namespace qloft::train {
namespace {

using at::Tensor;
using Ids = std::span<const tokenizer::TokenId>;

// int64 [rows, longest], filled up with `value`.
Tensor filled_up(const std::vector<Ids>& rows, std::int64_t value) {
  std::int64_t length = 0;
  for (const Ids& row : rows) length = std::max(length, std::ssize(row));
  Tensor out = at::full({std::ssize(rows), length}, value, at::kLong);
  auto* to = out.data_ptr<std::int64_t>();
  for (const Ids& row : rows) {
    std::ranges::copy(row, to);
    to += length;
  }
  return out;
}

}  // namespace

SequencePairs::SequencePairs(std::vector<data::SequencePair> pairs)
    : pairs_(std::make_shared<const std::vector<data::SequencePair>>(std::move(pairs))) {}

std::int64_t SequencePairs::size() const {
  return std::ssize(*pairs_);
}

const data::SequencePair& SequencePairs::operator[](std::int64_t place) const {
  return (*pairs_)[static_cast<std::size_t>(place)];
}

Examples SequencePairs::examples() const {
  std::vector<data::Example> out;
  for (const data::SequencePair& pair : *pairs_) {
    data::Example& example = out.emplace_back();
    example.ids = pair.source;
    example.ids.insert(example.ids.end(), pair.target.begin(), pair.target.end());
    example.loss_mask.assign(pair.source.size(), 0);
    example.loss_mask.resize(example.ids.size(), 1);
  }
  return Examples(out);
}

model::Source SequencePairs::source(const std::vector<std::int64_t>& places,
                                    const model::Model& model) const {
  std::vector<Ids> rows;
  rows.reserve(places.size());
  for (const std::int64_t place : places) rows.emplace_back((*this)[place].source);
  constexpr std::int64_t kNone = -1;
  const Tensor ids = filled_up(rows, kNone);
  const Tensor padding = ids.eq(kNone);
  return {ids.masked_fill(padding, model.layout().encoder->padding_token).to(model.device()),
          padding.to(at::kLong).neg()};
}

Tensor SequencePairs::labels(const std::vector<std::int64_t>& places,
                             const model::Model& model) const {
  std::vector<Ids> rows;
  rows.reserve(places.size());
  for (const std::int64_t place : places) rows.emplace_back((*this)[place].target);
  return filled_up(rows, -1).to(model.device());
}

Objective SequencePairs::objective(double smoothing) const {
  return [pairs = *this, smoothing](model::Model& model, const Batch& batch) {
    return objectives::sequence_to_sequence(model, pairs.source(batch.examples, model),
                                            pairs.labels(batch.examples, model), smoothing,
                                            batch.input.adapters);
  };
}

}  // namespace qloft::train
