#include "qloft/architecture/memory.h"

#include <algorithm>

namespace qloft::architecture {
namespace {

constexpr double kF32 = 4;
// The loss makes logits for so many of them, or rows, at a time (next_token.cpp of objectives).
constexpr double kLogitsAtOnce = 1 << 24;
constexpr double kMostLossRows = 1024;

double element_bytes(const TrainingShape& shape) {
  return static_cast<double>(byte_size(shape.activations));
}

// What the backward pass needs of one token.
struct TokenSizes {
  double elements = 0;  // of activations, in their type
  double floats = 0;    // f32 values: statistics of norms and attention
  double linears = 0;   // linear layers with adapters: x A^T of each is kept
  double inner = 0;     // of the widest MLP
  double pairs = 0;     // f32 values for each token beside it: scores that are kept

  TokenSizes& operator+=(const TokenSizes& other) {
    elements += other.elements;
    floats += other.floats;
    linears += other.linears;
    inner = std::max(inner, other.inner);
    pairs += other.pairs;
    return *this;
  }
};

// q, k, v and what attention made of them.
TokenSizes sizes_of(const Attention& a, const Layout&) {
  const auto queries = static_cast<double>(a.heads * a.head_dim);
  const auto keys = static_cast<double>(a.key_value_heads * a.head_dim);
  TokenSizes out;
  out.elements = 2 * queries + 2 * keys;
  if (!a.query_norms.empty()) out.elements += queries + keys;
  out.floats = static_cast<double>(a.heads);
  out.linears = a.query.linear == a.key.linear ? 2 : 4;
  // By distances: probabilities before and behind the mask.
  if (a.distances) out.pairs = 2 * static_cast<double>(a.heads);
  return out;
}

// Gate, up and their product.
TokenSizes sizes_of(const Mlp& mlp, const Layout& layout) {
  TokenSizes out;
  out.inner = static_cast<double>(layout.parameter(mlp.down).columns());
  out.elements = (mlp.gate ? 3 : 2) * out.inner;
  out.linears = mlp.gate && mlp.gate->linear != mlp.up.linear ? 3 : 2;
  return out;
}

TokenSizes sizes_of(const Experts& experts, const Layout& layout) {
  TokenSizes one = sizes_of(experts.experts.front(), layout);
  // The chosen experts' inputs and results are kept, too.
  one.elements += 2 * static_cast<double>(layout.hidden_size);
  TokenSizes out;
  for (std::int64_t i = 0; i < experts.chosen; ++i) out += one;
  if (experts.shared) out += sizes_of(*experts.shared, layout);
  return out;
}

// With the residual stream, and what each norm makes or takes.
TokenSizes sizes_of(const Block& block, const Layout& layout) {
  TokenSizes out;
  for (const Branch& branch : block.branches) {
    out += std::visit([&](const auto& body) { return sizes_of(body, layout); }, branch.body);
    const double norms =
        (branch.before ? 1 : 0) + (branch.after ? 1 : 0) + (branch.after_sum ? 1 : 0);
    out.elements += (1 + norms) * static_cast<double>(layout.hidden_size);
    out.floats += norms;
  }
  if (block.convolution) {
    // The neighbours of each token, their sum before and behind the activation, and the norm's.
    out.elements += static_cast<double>((block.convolution->width + 4) * layout.hidden_size);
    out.floats += 1;
  }
  return out;
}

double bytes_of(const TokenSizes& sizes, const TrainingShape& shape, double tokens, double rank) {
  return tokens *
         (sizes.elements * element_bytes(shape) +
          (sizes.floats + sizes.linears * rank + sizes.pairs * static_cast<double>(shape.length)) *
              kF32);
}

// The largest set of temporaries of one layer's backward pass: gradients of the MLP's three inner
// tensors and of its input; bf16 ones have f32 twins while they are summed.
double backward_working_set(const TrainingShape& shape, double tokens, double inner,
                            double hidden) {
  const double twins = shape.activations == ElementType::f32 ? 0 : 1;
  return tokens * (3 * inner + 3 * hidden) * (element_bytes(shape) + twins * kF32);
}

// With checkpointing only one layer's tensors are there, and what its backward pass has used of
// them is free again when the largest gradients, those of gate and up, are made.
double recomputed_working_set(const TrainingShape& shape, double tokens, double inner,
                              double hidden) {
  const double twins = shape.activations == ElementType::f32 ? 0 : 1;
  return tokens * (2 * inner + hidden) * (element_bytes(shape) + twins * kF32);
}

double loss_working_set(const Layout& layout, const TrainingShape& shape, double tokens) {
  if (layout.output.matrix == kNoParameter) return 0;  // a head's scores are few
  const auto vocabulary = static_cast<double>(layout.vocabulary_size);
  const double rows = std::min({tokens, kMostLossRows, kLogitsAtOnce / vocabulary});
  return rows * vocabulary * kF32 +
         2 * tokens * static_cast<double>(layout.hidden_size) * element_bytes(shape);
}

double activations(const Layout& layout, const TrainingShape& shape, double rank) {
  const auto tokens = static_cast<double>(shape.rows * shape.length);
  const auto hidden = static_cast<double>(layout.hidden_size);
  double all = 0, largest = 0, inner = 0;
  for (const Block& block : layout.blocks) {
    const TokenSizes sizes = sizes_of(block, layout);
    const double bytes = bytes_of(sizes, shape, tokens, rank);
    all += bytes;
    largest = std::max(largest, bytes);
    inner = std::max(inner, sizes.inner);
  }
  const double loss = loss_working_set(layout, shape, tokens);
  if (shape.checkpointing) {
    const double streams =
        static_cast<double>(layout.layers()) * tokens * hidden * element_bytes(shape);
    return streams + std::max(loss, largest + recomputed_working_set(shape, tokens, inner, hidden));
  }
  return all + std::max(loss, backward_working_set(shape, tokens, inner, hidden));
}

}  // namespace

TrainingMemory full_training_memory(const Layout& layout, const TrainingShape& shape) {
  const auto parameters = static_cast<double>(parameter_count(layout));
  TrainingMemory memory;
  memory.weights = parameters * kF32;
  memory.gradients = parameters * kF32;
  memory.optimizer = parameters * 2 * kF32;
  memory.activations = activations(layout, shape, 0);
  return memory;
}

TrainingMemory adapter_training_memory(
    const Layout& layout, const TrainingShape& shape,
    const std::optional<std::function<double(std::int64_t, std::int64_t)>>& bits_per_weight) {
  const double dense_bits = 8 * static_cast<double>(byte_size(shape.weights));
  double linear = 0, linear_bits = 0, trained = 0;
  for (const ParameterId id : linear_layers(layout)) {
    const Parameter& weight = layout.parameter(id);
    const auto elements = static_cast<double>(weight.elements());
    linear += elements;
    linear_bits += elements * (bits_per_weight ? (*bits_per_weight)(weight.rows(), weight.columns())
                                               : dense_bits);
    trained +=
        static_cast<double>(shape.rank) * static_cast<double>(weight.rows() + weight.columns());
  }
  const double others = static_cast<double>(parameter_count(layout)) - linear;
  TrainingMemory memory;
  memory.weights = (linear_bits + others * dense_bits) / 8 + trained * kF32;
  memory.gradients = trained * kF32;
  memory.optimizer = trained * 2 * kF32;
  memory.activations = activations(layout, shape, static_cast<double>(shape.rank));
  return memory;
}

}  // namespace qloft::architecture
