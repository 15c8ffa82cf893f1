#pragma once
// Every tensor of a model under its checkpoint name, and the making of a model from a source of
// tensors.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "state.h"

namespace qloft::model {

// Where a model's tensors come from.
struct Source {
  // A weight matrix [rows, columns], dense or packed.
  std::function<Weight(const std::string& name, std::int64_t rows, std::int64_t columns)> matrix;
  // A norm's weight or a bias as f32 [size].
  std::function<at::Tensor(const std::string& name, std::int64_t size)> vector;
};

// Fills embedding, layers, norm and head, asking the source in the order of expected_tensors().
void build(Model::State& state, const Source& source);

}  // namespace qloft::model
