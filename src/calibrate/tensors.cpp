#include "tensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace qloft::calibrate {
namespace {

template <typename Values>
at::Tensor row_of(const Values& values) {
  at::Tensor out = at::empty({1, std::ssize(values)}, at::kLong);
  std::ranges::copy(values, out.data_ptr<std::int64_t>());
  return out;
}

}  // namespace

at::Tensor ids_of(const data::Example& example, const model::Model& model) {
  return row_of(example.ids).to(model.device());
}

at::Tensor loss_mask_of(const data::Example& example) {
  return row_of(example.loss_mask);
}

}  // namespace qloft::calibrate
