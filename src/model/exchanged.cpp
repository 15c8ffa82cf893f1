#include "qloft/model/exchanged.h"

#include <ATen/ops/from_blob.h>

#include <utility>

namespace qloft::model {

at::Tensor dense_for(const Model& model, MatrixView<const float> values) {
  // Torch has no read-only tensors; the copy that is made here is what the model reads.
  const at::Tensor view =
      at::from_blob(const_cast<float*>(values.data), {values.rows, values.columns}, at::kFloat);
  return view.to(model.device(), model.dtype(), /*non_blocking=*/false, /*copy=*/true);
}

Exchanged::Exchanged(Model& model, std::vector<Replacement> replacements)
    : model_(model), own_(std::move(replacements)) {
  for (Replacement& one : own_) one.dense = model_.exchange(one.id, std::move(one.dense));
}

Exchanged::~Exchanged() {
  for (Replacement& one : own_) model_.exchange(one.id, std::move(one.dense));
}

}  // namespace qloft::model
