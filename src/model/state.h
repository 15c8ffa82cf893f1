#pragma once
// What a Model and a KeyValueCache hold.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qloft/backend.h"
#include "qloft/model.h"

namespace qloft::model {

using architecture::Layout;
using architecture::ParameterId;
using backend::LowRank;
using backend::Weight;

// A matrix of the layout.
struct Linear {
  std::string module;                            // that the weight belongs to, as PEFT names it
  Weight weight;                                 // [out, in]; undefined: the parameter is a vector
  at::Tensor bias;                               // f32 [out] or undefined
  std::vector<std::optional<LowRank>> adapters;  // by AdapterId
  std::uint64_t number = 0;                      // among those that activations are multiplied by

  const LowRank* factors(AdapterId id) const {
    const auto at = static_cast<std::size_t>(id);
    return at < adapters.size() && adapters[at] ? &*adapters[at] : nullptr;
  }
};

struct Model::State {
  Layout layout;
  at::ScalarType dtype = at::kFloat;
  bool int8 = false;
  StoredType cache = StoredType::f32;
  StoredType factors = StoredType::f32;
  at::Device device = at::kCPU;

  // Both by ParameterId. A tied output matrix shares the embedding's weight.
  std::vector<Linear> linears;
  std::optional<Weight> stored_output;  // the output matrix's, where another is in use
  std::vector<at::Tensor> vectors;  // f32 norms and biases; undefined: the parameter is a matrix

  struct Attached {
    std::string name;  // empty: detached
    adapter::Config config;
    bool train = false;
    std::map<ParameterId, at::Tensor> saved;  // of the head, in place of the model's: f32
  };
  std::vector<Attached> adapters;  // by AdapterId

  std::shared_ptr<const Observer> observer;  // null: none
  bool checkpointing = false;
  bool training = false;
  std::uint64_t dropout_seed = 0;
  std::uint64_t dropout_calls = 0;

  Linear& linear(ParameterId id) { return linears[static_cast<std::size_t>(id)]; }
  const Linear& linear(ParameterId id) const { return linears[static_cast<std::size_t>(id)]; }
  const at::Tensor& vector(ParameterId id) const { return vectors[static_cast<std::size_t>(id)]; }

  // body(Linear&) for the layers that adapters address, in the order of the forward pass.
  template <typename Body>
  void for_each_adaptable(const Body& body) {
    for (const ParameterId id : architecture::adaptable(layout)) body(linear(id));
  }
};

// Where a model's parameters come from: matrices [out, in], and vectors as f32.
struct ParameterSource {
  std::function<Weight(ParameterId id)> matrix;
  std::function<at::Tensor(ParameterId id)> vector;
};
// Fills linears and vectors, asking the source in the order of the layout.
void build(Model::State& state, const ParameterSource& source);

struct KeyValueCache::State {
  StoredType type = StoredType::f32;
  std::int64_t capacity = 0;
  std::int64_t length = 0;
  std::vector<backend::CachedHeads> keys, values;  // by block of the decoder
  // Of an encoder-decoder's source, which no pass changes.
  std::int64_t source_length = 0;
  std::vector<backend::CachedHeads> source_keys, source_values;
};

}  // namespace qloft::model
