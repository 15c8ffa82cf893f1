#pragma once
// Sequences of ids with types that a head says something of, in place of their own next tokens.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qloft/data.h"
#include "qloft/model.h"
#include "qloft/tokenizer/encoding.h"
#include "qloft/train.h"

namespace qloft::train {

struct TypedIds {
  std::span<const tokenizer::TokenId> ids;
  std::span<const std::int32_t> types;  // as long as ids; where the model knows types
};

// Padded to the longest; padding is in no segment.
model::Input padded_input(const std::vector<TypedIds>& rows, const model::Model& model,
                          model::AdapterId adapter);

// As many predictions count as are made of the sequence, whatever its length; the first token is
// none.
data::Example example_of(std::span<const tokenizer::TokenId> ids, std::size_t count);

// Those at these places as the rows of one input.
template <typename Sequence>
model::Input padded_input(const std::vector<Sequence>& sequences,
                          const std::vector<std::int64_t>& places, const model::Model& model,
                          model::AdapterId adapter) {
  std::vector<TypedIds> rows;
  rows.reserve(places.size());
  for (const std::int64_t place : places) {
    const Sequence& sequence = sequences[static_cast<std::size_t>(place)];
    rows.push_back({sequence.ids, sequence.types});
  }
  return padded_input(rows, model, adapter);
}

// As train() takes them, with so many predictions each.
template <typename Sequence>
Examples examples_of(const std::vector<Sequence>& sequences, std::size_t count) {
  std::vector<data::Example> out;
  out.reserve(sequences.size());
  for (const Sequence& sequence : sequences) out.push_back(example_of(sequence.ids, count));
  return Examples(out);
}

// Of Labelled or Spans.
template <typename Sequences>
std::vector<std::int64_t> lengths_of(const Sequences& sequences) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < sequences.size(); ++i) out.push_back(std::ssize(sequences[i].ids));
  return out;
}

}  // namespace qloft::train
