
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "qloft/core/error.h"
#include "state.h"

namespace qloft::model {

KeyValueCache::KeyValueCache(std::shared_ptr<State> state) : state_(std::move(state)) {}

std::int64_t KeyValueCache::rows() const {
  return state_->rows;
}
std::int64_t KeyValueCache::capacity() const {
  return state_->capacity;
}
std::int64_t KeyValueCache::length() const {
  return state_->length;
}

void KeyValueCache::truncate(std::int64_t length) {
  if (length < 0 || length > state_->length) {
    throw InputError({{}, "cache"}, "expected a length from 0 to " +
                                        std::to_string(state_->length) + ", found " +
                                        std::to_string(length));
  }
  state_->length = length;
}

void KeyValueCache::select_rows(const std::vector<std::int64_t>& rows) {
  State& state = *state_;
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= state.rows) {
      throw InputError({{}, "cache"}, "expected rows below " + std::to_string(state.rows) +
                                          ", found " + std::to_string(row));
    }
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  const auto index = at::tensor(at::ArrayRef<std::int64_t>(rows), at::kLong);
  for (auto* tensors : {&state.keys, &state.values}) {
    for (at::Tensor& old : *tensors) {
      auto chosen = at::empty({count, old.size(1), old.size(2), old.size(3)}, old.options());
      // Only what is filled: the rest of the capacity stays untouched memory.
      chosen.narrow(2, 0, state.length)
          .copy_(old.narrow(2, 0, state.length).index_select(0, index.to(old.device())));
      old = chosen;
    }
  }
  state.segments = state.segments.index_select(0, index);
  state.rows = count;
}

KeyValueCache Model::make_cache(std::int64_t rows, std::int64_t capacity) const {
  if (rows < 1 || capacity < 1) {
    throw InputError({{}, "cache"}, "expected at least one row and one position");
  }
  auto state = std::make_shared<KeyValueCache::State>();
  state->rows = rows;
  state->capacity = capacity;
  const auto options = at::TensorOptions(state_->dtype).device(state_->device);
  for (const auto& block : state_->layout.blocks) {
    for (const auto& branch : block.branches) {
      const auto* a = std::get_if<architecture::Attention>(&branch.body);
      if (a == nullptr) continue;
      for (auto* tensors : {&state->keys, &state->values}) {
        tensors->push_back(at::empty({rows, a->key_value_heads, capacity, a->head_dim}, options));
      }
    }
  }
  state->segments = at::zeros({rows, capacity}, at::kLong);
  return KeyValueCache(std::move(state));
}

}  // namespace qloft::model
