#pragma once
// Dense matrices in the place of a loaded model's own.

#include <ATen/core/Tensor.h>

#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/model.h"

namespace qloft::model {

// The values [out, in] as the model reads a dense matrix: on its device, in the type of its
// activations.
at::Tensor dense_for(const Model& model, MatrixView<const float> values);

struct Replacement {
  architecture::ParameterId id;
  at::Tensor dense;
};

// These are in the model's for as long as this lives (Model::exchange).
class Exchanged {
 public:
  Exchanged(Model& model, std::vector<Replacement> replacements);
  ~Exchanged();
  Exchanged(const Exchanged&) = delete;
  Exchanged& operator=(const Exchanged&) = delete;

 private:
  Model& model_;
  std::vector<Replacement> own_;
};

}  // namespace qloft::model
