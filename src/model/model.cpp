#include "qloft/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>

#include <optional>
#include <utility>
#include <vector>

#include "blocks/block.h"
#include "blocks/norm.h"
#include "blocks/positions.h"
#include "qloft/core.h"
#include "state.h"

namespace qloft::model {
namespace {

using at::Tensor;

std::string shape_text(const Tensor& tensor) {
  std::string text = "[";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.size(i));
  }
  return text + "]";
}

void check_like_ids(const Tensor& tensor, const Tensor& ids, const char* name) {
  if (tensor.sizes() == ids.sizes() && tensor.scalar_type() == at::kLong) return;
  throw InputError({{}, name},
                   "expected int64 " + shape_text(ids) + ", found " + shape_text(tensor));
}

void check_input(const Input& input, const Layout& layout, const KeyValueCache::State* cache) {
  const Tensor& ids = input.ids;
  if (!ids.defined() || ids.dim() != 2 || ids.scalar_type() != at::kLong) {
    throw InputError({{}, "ids"}, "expected int64 [rows, length]");
  }
  if (ids.numel() > 0) {
    const auto low = ids.min().item<std::int64_t>(), high = ids.max().item<std::int64_t>();
    if (low < 0 || high >= layout.vocabulary_size) {
      throw InputError({{}, "ids"}, "expected ids below the vocabulary's size of " +
                                        std::to_string(layout.vocabulary_size) + ", found " +
                                        std::to_string(low < 0 ? low : high));
    }
  }
  if (input.positions.defined()) check_like_ids(input.positions, ids, "positions");
  if (input.segments.defined()) check_like_ids(input.segments, ids, "segments");
  if (cache == nullptr) return;
  if (ids.size(0) != cache->rows) {
    throw InputError({{}, "ids"}, "expected the cache's " + std::to_string(cache->rows) +
                                      " rows, found " + std::to_string(ids.size(0)));
  }
  if (ids.size(1) > cache->capacity - cache->length) {
    throw InputError({{}, "ids"},
                     "expected at most " + std::to_string(cache->capacity - cache->length) +
                         " more positions in the cache, found " + std::to_string(ids.size(1)));
  }
}

// The segments that attention looks at: those of the cache and, after them, of this input.
Tensor segments_for(const Input& input, KeyValueCache::State* cache) {
  const Tensor given =
      input.segments.defined() ? input.segments.to(at::kCPU).contiguous() : Tensor();
  if (cache == nullptr) return given;
  const std::int64_t length = input.ids.size(1);
  const Tensor own = cache->segments.narrow(1, cache->length, length);
  if (given.defined()) {
    own.copy_(given);
    cache->has_segments = cache->has_segments || given.ne(0).any().item<bool>();
  } else {
    own.zero_();
  }
  return cache->has_segments ? cache->segments.narrow(1, 0, cache->length + length) : Tensor();
}

// The positions of an input where it names none.
Tensor positions_of(const Input& input, std::int64_t past) {
  if (input.positions.defined()) return input.positions;
  return at::arange(past, past + input.ids.size(1), input.ids.options())
      .expand({input.ids.size(0), input.ids.size(1)});
}

// Embeddings of ids and, where the model has learned ones, of positions: [rows, length,
// hidden_size].
Tensor embed_tokens(const Pass& pass, const Tensor& ids, const Tensor& positions) {
  const Model::State& state = *pass.state;
  const auto& embedding = state.layout.embedding;
  Tensor x = backend::look_up(state.linear(embedding.tokens).weight, ids, state.dtype);
  if (embedding.multiplier != 1) {
    // Rounded to the activations' type first, as transformers does.
    const auto multiplier = static_cast<float>(embedding.multiplier);
    x = x * (state.dtype == at::kBFloat16 ? round_to(multiplier, ElementType::bf16) : multiplier);
  }
  if (embedding.projection != architecture::kNoParameter) x = apply(pass, embedding.projection, x);
  if (embedding.positions == architecture::kNoParameter) return x;
  const Weight& table = state.linear(embedding.positions).weight;
  const std::int64_t most = table.rows() - embedding.position_offset;
  const std::int64_t last = positions.numel() > 0 ? positions.max().item<std::int64_t>() : 0;
  if (last >= most) {
    throw InputError({{}, "positions"}, "expected positions below the model's " +
                                            std::to_string(most) + ", found " +
                                            std::to_string(last));
  }
  return x + backend::look_up(table, positions + embedding.position_offset, state.dtype);
}

Pass begin_pass(const Model::State& state, const Tensor& positions,
                const std::vector<AdapterId>& adapters) {
  Pass pass;
  pass.state = &state;
  choose_adapters(pass, adapters, positions.size(0), positions.size(1));
  for (const architecture::Rope& rope : state.layout.ropes) {
    pass.rotations.push_back(make_rotation(rope, positions));
  }
  return pass;
}

Tensor finish_pass(const Pass& pass, const Tensor& x) {
  const auto& output = pass.layout().output;
  const Tensor normed = normalize(pass, output.norm, x);
  if (output.projection == architecture::kNoParameter) return normed;
  return apply(pass, output.projection, normed);
}

void check_activations(const Tensor& x, const Layout& layout) {
  if (x.dim() == 3 && x.size(2) == layout.hidden_size) return;
  throw Error({{}, "block"}, "expected activations [rows, length, " +
                                 std::to_string(layout.hidden_size) + "], found " + shape_text(x));
}

Tensor counted_positions(const Tensor& x) {
  return at::arange(x.size(1), at::TensorOptions(at::kLong).device(x.device()))
      .expand({x.size(0), x.size(1)});
}

}  // namespace

Model::Model(std::shared_ptr<State> state) : state_(std::move(state)) {}

const Layout& Model::layout() const {
  return state_->layout;
}
at::Device Model::device() const {
  return state_->device;
}
at::ScalarType Model::dtype() const {
  return state_->dtype;
}
void Model::set_checkpointing(bool on) {
  state_->checkpointing = on;
}
void Model::set_training(bool on) {
  state_->training = on;
}
void Model::set_dropout_seed(std::uint64_t seed) {
  state_->dropout_seed = seed;
  state_->dropout_calls = 0;
}

void Model::observe(Observer observer) {
  state_->observer = observer.input || observer.gradient
                         ? std::make_shared<const Observer>(std::move(observer))
                         : nullptr;
}

Tensor Model::embed(const Input& input) {
  check_input(input, state_->layout, nullptr);
  const at::NoGradGuard no_grad;
  const Tensor positions = positions_of(input, 0);
  return embed_tokens(begin_pass(*state_, positions, input.adapters), input.ids, positions);
}

Tensor Model::block(std::int64_t index, const Tensor& x, const std::vector<AdapterId>& adapters) {
  check_activations(x, state_->layout);
  if (index < 0 || index >= state_->layout.layers()) {
    throw Error({{}, "block"}, "expected a block below " + std::to_string(state_->layout.layers()) +
                                   ", found " + std::to_string(index));
  }
  const at::NoGradGuard no_grad;
  return forward_block(begin_pass(*state_, counted_positions(x), adapters), index, x);
}

Tensor Model::finish(const Tensor& x, const std::vector<AdapterId>& adapters) {
  check_activations(x, state_->layout);
  const at::NoGradGuard no_grad;
  return finish_pass(begin_pass(*state_, counted_positions(x), adapters), x);
}

Tensor Model::hidden(const Input& input, KeyValueCache* cache) {
  State& state = *state_;
  KeyValueCache::State* past = cache != nullptr ? &cache->state() : nullptr;
  check_input(input, state.layout, past);
  std::optional<at::NoGradGuard> no_grad;
  std::optional<at::AutoDispatchBelowADInplaceOrView> no_tracking;  // of views: decoding makes many
  if (past != nullptr) {
    no_grad.emplace();
    no_tracking.emplace();
  }

  const Tensor positions = positions_of(input, past != nullptr ? past->length : 0);
  Pass pass = begin_pass(state, positions, input.adapters);
  pass.segments = segments_for(input, past);
  pass.cache = past;
  if (state.training) {
    constexpr std::uint64_t kCallStride = 0xd1342543de82ef95ull;
    pass.dropout_seed = (state.dropout_seed + ++state.dropout_calls * kCallStride) | 1u;
  }

  Tensor x = embed_tokens(pass, input.ids, positions);
  if (state.observer != nullptr && state.observer->gradient && at::GradMode::is_enabled()) {
    x.requires_grad_(true);
  }
  const bool checkpointed = state.checkpointing && at::GradMode::is_enabled();
  for (std::int64_t i = 0; i < state.layout.layers(); ++i) {
    x = checkpointed ? forward_block_checkpointed(pass, i, x) : forward_block(pass, i, x);
  }
  if (past != nullptr) past->length += input.ids.size(1);
  return finish_pass(pass, x);
}

}  // namespace qloft::model
