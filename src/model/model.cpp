#include "qloft/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <optional>
#include <utility>
#include <vector>

#include "block.h"
#include "loss.h"
#include "norm.h"
#include "qloft/core.h"
#include "state.h"
#include "tensor.h"

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

void check_input(const Input& input, const Architecture& architecture,
                 const KeyValueCache::State* cache) {
  const Tensor& ids = input.ids;
  if (!ids.defined() || ids.dim() != 2 || ids.scalar_type() != at::kLong) {
    throw InputError({{}, "ids"}, "expected int64 [rows, length]");
  }
  if (ids.numel() > 0) {
    const auto low = ids.min().item<std::int64_t>(), high = ids.max().item<std::int64_t>();
    if (low < 0 || high >= architecture.vocabulary_size) {
      throw InputError({{}, "ids"}, "expected ids below the vocabulary's size of " +
                                        std::to_string(architecture.vocabulary_size) + ", found " +
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

// Rows of the embedding: [rows, length, hidden_size] in `dtype`.
Tensor embed(const Weight& embedding, const Tensor& ids, at::ScalarType dtype) {
  if (!embedding.packed) return at::embedding(embedding.dense, ids).to(dtype);
  const Tensor flat = ids.to(at::kCPU).contiguous();
  const std::int64_t* values = flat.data_ptr<std::int64_t>();
  Tensor out = at::empty({ids.size(0), ids.size(1), embedding.columns()}, at::kFloat);
  const auto rows = matrix_of(out);
  parallel_for(flat.numel(), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      quant::dequantize(*embedding.packed, rows.block(i, 0, 1, rows.columns), values[i]);
    }
  });
  return out.to(ids.device(), dtype);
}

// The segments that attention looks at: those of the cache and, after them, of this input.
Tensor segments_for(const Input& input, KeyValueCache::State* cache) {
  const Tensor given =
      input.segments.defined() ? input.segments.to(at::kCPU).contiguous() : Tensor();
  if (cache == nullptr) return given;
  const std::int64_t length = input.ids.size(1);
  const Tensor place = cache->segments.narrow(1, cache->length, length);
  if (given.defined()) {
    place.copy_(given);
    cache->has_segments = cache->has_segments || given.ne(0).any().item<bool>();
  } else {
    place.zero_();
  }
  return cache->has_segments ? cache->segments.narrow(1, 0, cache->length + length) : Tensor();
}

// Indices into ids.flatten() of the positions whose prediction of the next id counts.
std::vector<std::int64_t> predicting_positions(const Input& input, const Tensor& learn) {
  const std::int64_t rows = input.ids.size(0), length = input.ids.size(1);
  const Tensor segments =
      input.segments.defined() ? input.segments.to(at::kCPU).contiguous() : Tensor();
  const Tensor learned = learn.defined() ? learn.to(at::kCPU).ne(0).contiguous() : Tensor();
  std::vector<std::int64_t> out;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = row * length; i + 1 < (row + 1) * length; ++i) {
      if (segments.defined()) {
        const std::int64_t* s = segments.data_ptr<std::int64_t>();
        if (s[i] < 0 || s[i] != s[i + 1]) continue;
      }
      if (learned.defined() && !learned.data_ptr<bool>()[i + 1]) continue;
      out.push_back(i);
    }
  }
  return out;
}

}  // namespace

Model::Model(std::shared_ptr<State> state) : state_(std::move(state)) {}

const Architecture& Model::architecture() const {
  return state_->architecture;
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
  state_->for_each_linear([&](Linear& linear) { linear.observer = state_->observer; });
}

Tensor Model::embed(const Tensor& ids) {
  check_input({ids, {}, {}}, state_->architecture, nullptr);
  const at::NoGradGuard no_grad;
  return model::embed(state_->embedding, ids, state_->dtype);
}

Tensor Model::layer(std::int64_t index, const Tensor& x) {
  const Architecture& a = state_->architecture;
  if (index < 0 || index >= a.layers || x.dim() != 3 || x.size(2) != a.hidden_size) {
    throw Error({{}, "layer"}, "expected activations [rows, length, " +
                                   std::to_string(a.hidden_size) + "] for a layer below " +
                                   std::to_string(a.layers) + ", found " + shape_text(x) +
                                   " for layer " + std::to_string(index));
  }
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.architecture = &a;
  const Tensor positions = at::arange(x.size(1), at::TensorOptions(at::kLong).device(x.device()))
                               .expand({x.size(0), x.size(1)});
  pass.rotation = make_rotation(a.rope, a.head_dim, positions);
  return forward(state_->layers[static_cast<std::size_t>(index)], index, x, pass);
}

Tensor Model::hidden(const Input& input, KeyValueCache* cache) {
  State& state = *state_;
  KeyValueCache::State* past = cache != nullptr ? &cache->state() : nullptr;
  check_input(input, state.architecture, past);
  std::optional<at::NoGradGuard> no_grad;
  std::optional<at::AutoDispatchBelowADInplaceOrView> no_tracking;  // of views: decoding makes many
  if (past != nullptr) {
    no_grad.emplace();
    no_tracking.emplace();
  }

  Tensor positions = input.positions;
  if (!positions.defined()) {
    const std::int64_t first = past != nullptr ? past->length : 0;
    positions = at::arange(first, first + input.ids.size(1), input.ids.options())
                    .expand({input.ids.size(0), input.ids.size(1)});
  }
  Pass pass;
  pass.architecture = &state.architecture;
  pass.rotation = make_rotation(state.architecture.rope, state.architecture.head_dim, positions);
  pass.segments = segments_for(input, past);
  pass.cache = past;
  if (state.training) {
    constexpr std::uint64_t kCallStride = 0xd1342543de82ef95ull;
    pass.dropout_seed = (state.dropout_seed + ++state.dropout_calls * kCallStride) | 1u;
  }

  Tensor x = model::embed(state.embedding, input.ids, state.dtype);
  if (state.observer != nullptr && state.observer->gradient && at::GradMode::is_enabled()) {
    x.requires_grad_(true);
  }
  const bool checkpointed = state.checkpointing && at::GradMode::is_enabled();
  for (std::int64_t i = 0; i < state.architecture.layers; ++i) {
    const Layer& layer = state.layers[static_cast<std::size_t>(i)];
    x = checkpointed ? forward_checkpointed(layer, i, x, pass) : forward(layer, i, x, pass);
  }
  if (past != nullptr) past->length += input.ids.size(1);
  return rms_norm(x, state.norm, state.architecture.rms_norm_epsilon);
}

Tensor Model::logits(const Tensor& hidden) {
  return state_->head.forward(hidden, 0).to(at::kFloat);
}

Model::Loss Model::loss(const Input& input, const Tensor& learn) {
  if (learn.defined() && learn.sizes() != input.ids.sizes()) {
    throw InputError({{}, "learn"},
                     "expected " + shape_text(input.ids) + ", found " + shape_text(learn));
  }
  const Tensor states = hidden(input, nullptr);
  const auto positions = predicting_positions(input, learn);
  const Tensor index = at::tensor(at::ArrayRef<std::int64_t>(positions), at::kLong);
  const Tensor targets = input.ids.to(at::kCPU).flatten().index_select(0, index + 1);
  const Tensor chosen =
      states.view({-1, states.size(-1)}).index_select(0, index.to(states.device()));
  return {summed_loss(chosen, state_->head.weight, targets),
          static_cast<std::int64_t>(positions.size())};
}

}  // namespace qloft::model
