#pragma once
// One decoder layer: attention and MLP, each behind a norm and added to the residual stream.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "attention.h"
#include "rope.h"
#include "state.h"

namespace qloft::model {

// What all layers of one forward pass share.
struct Pass {
  const Architecture* architecture = nullptr;
  Rotation rotation;
  at::Tensor segments;                    // as Visibility has them
  KeyValueCache::State* cache = nullptr;  // already holds segments and has room
  std::uint64_t dropout_seed = 0;         // 0: no dropout
};

// x [rows, length, hidden_size] -> the same shape.
at::Tensor forward(const Layer& layer, std::int64_t index, const at::Tensor& x, const Pass& pass);

// The same, keeping only x for the backward pass, which runs the layer again.
at::Tensor forward_checkpointed(const Layer& layer, std::int64_t index, const at::Tensor& x,
                                const Pass& pass);

}  // namespace qloft::model
