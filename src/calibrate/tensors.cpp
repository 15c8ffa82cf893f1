#include "tensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <span>

#include "qloft/core.h"

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

at::Tensor weights_of(const KeptWeights& kept, const std::string& module, std::int64_t first,
                      std::int64_t count) {
  const auto found = kept.find(module);
  const std::span<const float> all = found == kept.end() ? std::span<const float>() : found->second;
  if (std::ssize(all) < first + count) {
    throw InputError({{}, module}, "expected a weight for each of its inputs, found " +
                                       std::to_string(all.size()));
  }
  at::Tensor out = at::empty({count}, at::kFloat);
  std::ranges::copy(all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
                    out.mutable_data_ptr<float>());
  return out;
}

}  // namespace qloft::calibrate
