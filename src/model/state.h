#pragma once
// What a Model and a KeyValueCache hold.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "linear.h"
#include "qloft/model.h"

namespace qloft::model {

struct Layer {
  at::Tensor input_norm, post_attention_norm;  // f32 [hidden_size]
  at::Tensor q_norm, k_norm;                   // f32 [head_dim], undefined without norm_qk
  Linear q, k, v, o, gate, up, down;

  // In the order of linear_layers().
  template <typename Self, typename Body>
  static void for_each_linear(Self& self, const Body& body) {
    for (auto* linear : {&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down}) {
      body(*linear);
    }
  }
};

struct Model::State {
  Architecture architecture;
  at::ScalarType dtype = at::kFloat;
  bool int8 = false;
  at::Device device = at::kCPU;

  Weight embedding;  // [vocabulary, hidden_size]
  std::vector<Layer> layers;
  at::Tensor norm;  // f32 [hidden_size]
  Linear head;      // shares the embedding's weight where embeddings are tied

  struct Attached {
    adapter::Config config;
    bool train = false;
  };
  std::map<std::string, Attached> adapters;
  std::string active;

  std::shared_ptr<const Observer> observer;  // what every linear layer has
  bool checkpointing = false;
  bool training = false;
  std::uint64_t dropout_seed = 0;
  std::uint64_t dropout_calls = 0;

  // body(Linear&) for the layers that adapters address, in the order of linear_layers().
  template <typename Body>
  void for_each_linear(const Body& body) {
    for (Layer& layer : layers) Layer::for_each_linear(layer, body);
  }
};

struct KeyValueCache::State {
  std::int64_t rows = 0;
  std::int64_t capacity = 0;
  std::int64_t length = 0;
  std::vector<at::Tensor> keys, values;  // a layer: [rows, key_value_heads, capacity, head_dim]
  at::Tensor segments;                   // int64 CPU [rows, capacity]
  bool has_segments = false;             // any segment but 0 was given
};

}  // namespace qloft::model
