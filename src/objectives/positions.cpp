#include "positions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <string>

#include "qloft/core/error.h"
#include "qloft/core/text.h"

namespace qloft::objectives {

using at::Tensor;

std::vector<std::int64_t> predicting_positions(const model::Input& input, const Tensor& loss_mask) {
  const std::int64_t rows = input.ids.size(0), length = input.ids.size(1);
  const Tensor segments =
      input.segments.defined() ? input.segments.to(at::kCPU).contiguous() : Tensor();
  const Tensor counted = loss_mask.defined() ? loss_mask.to(at::kCPU).ne(0).contiguous() : Tensor();
  std::vector<std::int64_t> out;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = row * length; i + 1 < (row + 1) * length; ++i) {
      if (segments.defined()) {
        const std::int64_t* s = segments.data_ptr<std::int64_t>();
        if (s[i] < 0 || s[i] != s[i + 1]) continue;
      }
      if (counted.defined() && !counted.data_ptr<bool>()[i + 1]) continue;
      out.push_back(i);
    }
  }
  return out;
}

void expect_mask_of(const model::Input& input, const Tensor& loss_mask) {
  if (!loss_mask.defined() || loss_mask.sizes() == input.ids.sizes()) return;
  throw InputError({{}, "loss_mask"}, "expected " + shape_text(input.ids.sizes().vec()) +
                                          ", found " + shape_text(loss_mask.sizes().vec()));
}

Predictions predictions_of(const model::Input& input, const Tensor& loss_mask) {
  const auto positions = predicting_positions(input, loss_mask);
  const Tensor index = at::tensor(at::ArrayRef<std::int64_t>(positions), at::kLong);
  return {index, input.ids.to(at::kCPU).flatten().index_select(0, index + 1)};
}

}  // namespace qloft::objectives
