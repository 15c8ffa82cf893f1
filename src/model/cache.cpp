#include <algorithm>
#include <string>

#include "encode.h"
#include "qloft/core/error.h"

namespace qloft::model {

KeyValueCache::KeyValueCache(std::shared_ptr<State> state) : state_(std::move(state)) {}

StoredType KeyValueCache::type() const {
  return state_->type;
}
std::int64_t KeyValueCache::capacity() const {
  return state_->capacity;
}
std::int64_t KeyValueCache::length() const {
  return state_->length;
}
std::int64_t KeyValueCache::bytes() const {
  std::int64_t bytes = 0;
  for (const auto* tensors :
       {&state_->keys, &state_->values, &state_->source_keys, &state_->source_values}) {
    for (const backend::CachedHeads& heads : *tensors) bytes += heads.bytes();
  }
  return bytes;
}

void KeyValueCache::reserve(std::int64_t capacity) {
  State& state = *state_;
  if (capacity <= state.capacity) return;
  for (auto* tensors : {&state.keys, &state.values}) {
    for (backend::CachedHeads& old : *tensors) old = grown(old, capacity, state.length);
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

KeyValueCache KeyValueCache::fork() const {
  auto state = std::make_shared<State>(*state_);
  for (auto* tensors : {&state->keys, &state->values}) {
    for (backend::CachedHeads& heads : *tensors) {
      heads = grown(heads, state->capacity, state->length);
    }
  }
  return KeyValueCache(std::move(state));
}

void KeyValueCache::follow(const KeyValueCache& other, std::int64_t common) {
  const State& leader = *other.state_;
  if (common < 0 || common > std::min(state_->length, leader.length) ||
      leader.length > state_->capacity) {
    throw InputError({{}, "cache"}, "expected at most " + std::to_string(state_->capacity) +
                                        " positions, of which it holds the first " +
                                        std::to_string(common));
  }
  for (std::size_t i = 0; i < leader.keys.size(); ++i) {
    copy_positions(leader.keys[i], state_->keys[i], common, leader.length);
    copy_positions(leader.values[i], state_->values[i], common, leader.length);
  }
  state_->length = leader.length;
}

void Model::set_cache_type(StoredType type) {
  state_->cache = type;
}

KeyValueCache Model::make_cache(std::int64_t capacity, const std::vector<std::int64_t>& source,
                                AdapterId adapter) const {
  if (capacity < 1) throw InputError({{}, "cache"}, "expected at least one position");
  auto state = std::make_shared<KeyValueCache::State>();
  state->type = state_->cache;
  state->capacity = capacity;
  const Layout& layout = state_->layout;
  if (source.empty() == layout.encoder.has_value()) {
    throw InputError({{}, "source"},
                     layout.encoder ? "expected at least one id"
                                    : "expected none: " + layout.family + " is no encoder-decoder");
  }
  for (std::int64_t i = layout.first_block(); i < layout.layers(); ++i) {
    for (const auto& branch : layout.blocks[static_cast<std::size_t>(i)].branches) {
      const auto* a = std::get_if<architecture::Attention>(&branch.body);
      if (a == nullptr || a->cross) continue;
      for (auto* tensors : {&state->keys, &state->values}) {
        tensors->push_back(backend::make_cached_heads(state->type, a->key_value_heads, capacity,
                                                      a->head_dim, state_->device));
      }
    }
  }
  if (!source.empty()) store_source(*state_, source, adapter, *state);
  return KeyValueCache(std::move(state));
}

}  // namespace qloft::model
