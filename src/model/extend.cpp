// The forward pass over caches.
#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <set>
#include <string>

#include "blocks/block.h"
#include "blocks/ends.h"
#include "blocks/positions.h"
#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using at::Tensor;

void check(const std::vector<Continuation>& sequences, const Layout& layout) {
  if (sequences.empty()) throw InputError({{}, "sequences"}, "expected at least one");
  std::set<const KeyValueCache::State*> caches;
  for (const Continuation& sequence : sequences) {
    if (sequence.cache == nullptr || !caches.insert(&sequence.cache->state()).second) {
      throw InputError({{}, "cache"}, "expected one for each sequence");
    }
    if (layout.encoder && sequence.cache->state().source_length == 0) {
      throw InputError({{}, "cache"}, "expected one that holds a source");
    }
    const std::int64_t room = sequence.cache->capacity() - sequence.cache->length();
    const std::int64_t count = std::ssize(sequence.ids);
    if (count < 1 || count > room) {
      throw InputError({{}, "ids"}, "expected 1 to " + std::to_string(room) +
                                        " more positions in the cache, found " +
                                        std::to_string(count));
    }
  }
}

// All tokens of a pass in one row, sequence after sequence.
struct Tokens {
  Tensor ids, positions;  // int64 [1, tokens]
  Tensor last;            // int64 [sequences]: the last token of each
};

Tokens lay_out(const std::vector<Continuation>& sequences, at::Device device) {
  std::vector<std::int64_t> ids, positions, last;
  for (const Continuation& sequence : sequences) {
    const std::int64_t past = sequence.cache->length();
    ids.insert(ids.end(), sequence.ids.begin(), sequence.ids.end());
    for (std::int64_t i = 0; i < std::ssize(sequence.ids); ++i) positions.push_back(past + i);
    last.push_back(std::ssize(ids) - 1);
  }
  const auto row = [&](const std::vector<std::int64_t>& values) {
    return at::tensor(values, at::kLong).to(device);
  };
  return {row(ids).unsqueeze(0), row(positions).unsqueeze(0), row(last)};
}

// Frequencies that depend on a sequence's length are those of its own.
backend::Rotation rotation_of(const architecture::Rope& rope, const Tensor& positions,
                              const std::vector<CachedTokens>& sequences) {
  if (!depends_on_length(rope) || sequences.size() == 1) return make_rotation(rope, positions);
  std::vector<Tensor> cosines, sines;
  for (const CachedTokens& tokens : sequences) {
    const auto own = make_rotation(rope, positions.narrow(1, tokens.first, tokens.count));
    cosines.push_back(own.cosine);
    sines.push_back(own.sine);
  }
  return {at::cat(cosines, 1), at::cat(sines, 1)};
}

}  // namespace

Tensor Model::extend(const std::vector<Continuation>& sequences, NewTokens wanted) {
  check(sequences, state_->layout);
  if (architecture::encodes(state_->layout)) {
    throw InputError({{}, "model_type"}, "expected a model that predicts next tokens, found " +
                                             state_->layout.family + " without caches");
  }
  const at::NoGradGuard no_grad;
  const at::AutoDispatchBelowADInplaceOrView no_tracking;  // of views: decoding makes many
  Pass pass;
  pass.state = state_.get();
  std::vector<AdapterId> adapters;
  std::vector<std::int64_t> lengths;
  std::int64_t first = 0;
  for (const Continuation& sequence : sequences) {
    adapters.push_back(sequence.adapter);
    lengths.push_back(std::ssize(sequence.ids));
    pass.cached.push_back({&sequence.cache->state(), first, lengths.back()});
    first += lengths.back();
  }
  choose_adapters(pass, adapters, lengths);
  const Tokens tokens = lay_out(sequences, state_->device);
  check_ids(tokens.ids, state_->layout);
  for (const architecture::Rope& rope : state_->layout.ropes) {
    pass.rotations.push_back(rotation_of(rope, tokens.positions, pass.cached));
  }
  const Layout& layout = state_->layout;
  Tensor x = model::embed(pass, layout.embedding, {tokens.ids, tokens.positions, {}});
  for (std::int64_t i = layout.first_block(); i < layout.layers(); ++i) {
    x = forward_block(pass, i, x);
  }
  for (const CachedTokens& part : pass.cached) part.cache->length += part.count;
  if (wanted == NewTokens::all) return model::finish(pass, x[0]);
  return model::finish(over_tokens(pass, tokens.last), x[0].index_select(0, tokens.last));
}

}  // namespace qloft::model
