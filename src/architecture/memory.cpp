#include "qloft/architecture/memory.h"

#include <algorithm>

namespace qloft::model {
namespace {

constexpr double kF32 = 4;
// The loss makes logits for so many of them, or rows, at a time (src/model/loss.cpp).
constexpr double kLogitsAtOnce = 1 << 24;
constexpr double kMostLossRows = 1024;

double element_bytes(const TrainingShape& shape) {
  return static_cast<double>(byte_size(shape.activations));
}

struct Sizes {
  double tokens, hidden, inner, queries, keys, heads, vocabulary, layers;

  Sizes(const Architecture& a, const TrainingShape& shape)
      : tokens(static_cast<double>(shape.rows * shape.length)),
        hidden(static_cast<double>(a.hidden_size)),
        inner(static_cast<double>(a.intermediate_size)),
        queries(static_cast<double>(a.heads * a.head_dim)),
        keys(static_cast<double>(a.key_value_heads * a.head_dim)),
        heads(static_cast<double>(a.heads)),
        vocabulary(static_cast<double>(a.vocabulary_size)),
        layers(static_cast<double>(a.layers)) {}
};

// What one layer keeps for its backward pass: the residual stream before each norm, both norms'
// results, q, k, v and what attention made of them, gate, up and their product.
double layer_activations(const Architecture& a, const TrainingShape& shape, const Sizes& n,
                         double rank) {
  double elements = 4 * n.hidden + 2 * n.queries + 2 * n.keys + 3 * n.inner;
  if (a.norm_qk) elements += n.queries + n.keys;
  // One f32 a query and head, one a norm, and x A^T of seven linear layers.
  const double floats = n.heads + 2 + 7 * rank;
  return n.tokens * (elements * element_bytes(shape) + floats * kF32);
}

// The largest set of temporaries of one layer's backward pass: gradients of the MLP's three inner
// tensors and of its input; bf16 ones have f32 twins while they are summed.
double backward_working_set(const TrainingShape& shape, const Sizes& n) {
  const double twins = shape.activations == ElementType::f32 ? 0 : 1;
  const double elements = 3 * n.inner + 3 * n.hidden;
  return n.tokens * elements * (element_bytes(shape) + twins * kF32);
}

// With checkpointing only one layer's tensors are there, and what its backward pass has used of
// them is free again when the largest gradients, those of gate and up, are made.
double recomputed_working_set(const TrainingShape& shape, const Sizes& n) {
  const double twins = shape.activations == ElementType::f32 ? 0 : 1;
  return n.tokens * (2 * n.inner + n.hidden) * (element_bytes(shape) + twins * kF32);
}

double loss_working_set(const TrainingShape& shape, const Sizes& n) {
  const double rows = std::min({n.tokens, kMostLossRows, kLogitsAtOnce / n.vocabulary});
  return rows * n.vocabulary * kF32 + 2 * n.tokens * n.hidden * element_bytes(shape);
}

double activations(const Architecture& a, const TrainingShape& shape, double rank) {
  const Sizes n(a, shape);
  const double layer = layer_activations(a, shape, n, rank);
  const double stream = n.tokens * n.hidden * element_bytes(shape);
  const double loss = loss_working_set(shape, n);
  const double backward = backward_working_set(shape, n);
  if (shape.checkpointing) {
    return n.layers * stream + std::max(loss, layer + recomputed_working_set(shape, n));
  }
  return n.layers * layer + std::max(loss, backward);
}

}  // namespace

TrainingMemory full_training_memory(const Architecture& architecture, const TrainingShape& shape) {
  const auto parameters = static_cast<double>(parameter_count(architecture));
  TrainingMemory memory;
  memory.weights = parameters * kF32;
  memory.gradients = parameters * kF32;
  memory.optimizer = parameters * 2 * kF32;
  memory.activations = activations(architecture, shape, 0);
  return memory;
}

TrainingMemory adapter_training_memory(
    const Architecture& architecture, const TrainingShape& shape,
    const std::optional<std::function<double(std::int64_t, std::int64_t)>>& bits_per_weight) {
  const double dense_bits = 8 * static_cast<double>(byte_size(shape.weights));
  double linear = 0, linear_bits = 0, trained = 0;
  for (const LinearShape& layer : linear_layers(architecture)) {
    const double elements = static_cast<double>(layer.out) * static_cast<double>(layer.in);
    linear += elements;
    linear_bits +=
        elements * (bits_per_weight ? (*bits_per_weight)(layer.out, layer.in) : dense_bits);
    trained += static_cast<double>(shape.rank) * static_cast<double>(layer.out + layer.in);
  }
  const double others = static_cast<double>(parameter_count(architecture)) - linear;
  TrainingMemory memory;
  memory.weights = (linear_bits + others * dense_bits) / 8 + trained * kF32;
  memory.gradients = trained * kF32;
  memory.optimizer = trained * 2 * kF32;
  memory.activations = activations(architecture, shape, static_cast<double>(shape.rank));
  return memory;
}

}  // namespace qloft::model
