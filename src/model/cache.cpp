#include <ATen/ops/empty.h>

#include "qloft/core/error.h"
#include "state.h"

namespace qloft::model {

KeyValueCache::KeyValueCache(std::shared_ptr<State> state) : state_(std::move(state)) {}

std::int64_t KeyValueCache::capacity() const {
  return state_->capacity;
}
std::int64_t KeyValueCache::length() const {
  return state_->length;
}

void KeyValueCache::reserve(std::int64_t capacity) {
  State& state = *state_;
  if (capacity <= state.capacity) return;
  for (auto* tensors : {&state.keys, &state.values}) {
    for (at::Tensor& old : *tensors) {
      const auto larger = at::empty({1, old.size(1), capacity, old.size(3)}, old.options());
      // Only what is filled: the rest of the capacity stays untouched memory.
      larger.narrow(2, 0, state.length).copy_(old.narrow(2, 0, state.length));
      old = larger;
    }
  }
  state.capacity = capacity;
}

void KeyValueCache::truncate(std::int64_t length) {
  if (length < 0 || length > state_->length) {
    throw InputError({{}, "cache"}, "expected a length from 0 to " +
                                        std::to_string(state_->length) + ", found " +
                                        std::to_string(length));
  }
  state_->length = length;
}

KeyValueCache Model::make_cache(std::int64_t capacity) const {
  if (capacity < 1) throw InputError({{}, "cache"}, "expected at least one position");
  auto state = std::make_shared<KeyValueCache::State>();
  state->capacity = capacity;
  const auto options = at::TensorOptions(state_->dtype).device(state_->device);
  for (const auto& block : state_->layout.blocks) {
    for (const auto& branch : block.branches) {
      const auto* a = std::get_if<architecture::Attention>(&branch.body);
      if (a == nullptr) continue;
      for (auto* tensors : {&state->keys, &state->values}) {
        tensors->push_back(at::empty({1, a->key_value_heads, capacity, a->head_dim}, options));
      }
    }
  }
  return KeyValueCache(std::move(state));
}

}  // namespace qloft::model
