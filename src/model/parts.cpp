#include "parts.h"

namespace qloft::model {
namespace {

using at::Tensor;

std::string layer_prefix(std::size_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

}  // namespace

void build(Model::State& state, const Source& source) {
  const Architecture& a = state.architecture;
  state.embedding = source.matrix("model.embed_tokens.weight", a.vocabulary_size, a.hidden_size);
  const auto shapes = linear_layers(a);
  state.layers.resize(static_cast<std::size_t>(a.layers));
  std::size_t next = 0;
  for (std::size_t i = 0; i < state.layers.size(); ++i) {
    Layer& layer = state.layers[i];
    const std::string prefix = layer_prefix(i);
    layer.input_norm = source.vector(prefix + "input_layernorm.weight", a.hidden_size);
    if (a.norm_qk) {
      layer.q_norm = source.vector(prefix + "self_attn.q_norm.weight", a.head_dim);
      layer.k_norm = source.vector(prefix + "self_attn.k_norm.weight", a.head_dim);
    }
    layer.post_attention_norm =
        source.vector(prefix + "post_attention_layernorm.weight", a.hidden_size);
    Layer::for_each_linear(layer, [&](Linear& linear) {
      const LinearShape& shape = shapes[next++];
      linear.name = shape.name;
      linear.weight = source.matrix(shape.name + ".weight", shape.out, shape.in);
      linear.weight.int8 = state.int8;
      if (shape.bias) linear.bias = source.vector(shape.name + ".bias", shape.out);
    });
  }
  state.norm = source.vector("model.norm.weight", a.hidden_size);
  state.head.name = "lm_head";
  state.head.weight = a.tied_embeddings
                          ? state.embedding
                          : source.matrix("lm_head.weight", a.vocabulary_size, a.hidden_size);
  state.head.weight.int8 = state.int8;
}

std::vector<std::pair<std::string, Tensor>> Model::dense_weights() const {
  std::vector<std::pair<std::string, Tensor>> out;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    if (tensor.defined()) out.emplace_back(name, tensor);
  };
  const State& state = *state_;
  add("model.embed_tokens.weight", state.embedding.dense);
  for (std::size_t i = 0; i < state.layers.size(); ++i) {
    const Layer& layer = state.layers[i];
    const std::string prefix = layer_prefix(i);
    add(prefix + "input_layernorm.weight", layer.input_norm);
    add(prefix + "self_attn.q_norm.weight", layer.q_norm);
    add(prefix + "self_attn.k_norm.weight", layer.k_norm);
    add(prefix + "post_attention_layernorm.weight", layer.post_attention_norm);
    Layer::for_each_linear(layer, [&](const Linear& linear) {
      add(linear.name + ".weight", linear.weight.dense);
      add(linear.name + ".bias", linear.bias);
    });
  }
  add("model.norm.weight", state.norm);
  if (!state.architecture.tied_embeddings) add("lm_head.weight", state.head.weight.dense);
  return out;
}

}  // namespace qloft::model
