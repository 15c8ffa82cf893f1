#pragma once
// How much memory a training step takes, predicted from the layout alone. A test holds the
// prediction against a measured peak.

#include <cstdint>
#include <functional>
#include <optional>

#include "qloft/architecture/layout.h"
#include "qloft/core/element.h"

namespace qloft::architecture {

// What one micro-batch is: rows sequences of length tokens.
struct TrainingShape {
  std::int64_t rows = 1;
  std::int64_t length = 512;
  std::int64_t rank = 16;  // of adapters on every linear layer
  bool checkpointing = false;
  ElementType activations = ElementType::f32;  // f32 or bf16
  ElementType weights = ElementType::bf16;     // frozen dense weights keep the type on disk
};

// All in bytes.
struct TrainingMemory {
  double weights = 0;      // base, embeddings and adapters
  double gradients = 0;    // of what is trained, f32
  double optimizer = 0;    // AdamW's two moments, f32
  double activations = 0;  // what is kept for the backward pass, and its largest working set
  double total() const { return weights + gradients + optimizer + activations; }
};

// Everything is trained, as f32.
TrainingMemory full_training_memory(const Layout& layout, const TrainingShape& shape);

// Adapters on all linear layers are trained over a frozen base: dense, or packed at
// bits_per_weight(rows, columns).
TrainingMemory adapter_training_memory(
    const Layout& layout, const TrainingShape& shape,
    const std::optional<std::function<double(std::int64_t, std::int64_t)>>& bits_per_weight);

}  // namespace qloft::architecture
