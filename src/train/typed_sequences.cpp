#include "typed_sequences.h"

#include <ATen/ops/full.h>

#include <algorithm>

namespace qloft::train {

using at::Tensor;

model::Input padded_input(const std::vector<TypedIds>& rows, const model::Model& model,
                          model::AdapterId adapter) {
  const std::int64_t count = std::ssize(rows);
  std::int64_t length = 0;
  for (const TypedIds& row : rows) length = std::max(length, std::ssize(row.ids));
  const bool typed = model.layout().embedding.types != architecture::kNoParameter;
  const Tensor ids = at::full({count, length}, 0, at::kLong);
  const Tensor segments = at::full({count, length}, -1, at::kLong);
  const Tensor types = typed ? at::full({count, length}, 0, at::kLong) : Tensor();
  for (std::int64_t i = 0; i < count; ++i) {
    const TypedIds& row = rows[static_cast<std::size_t>(i)];
    const std::int64_t begin = i * length;
    std::ranges::copy(row.ids, ids.data_ptr<std::int64_t>() + begin);
    std::fill_n(segments.data_ptr<std::int64_t>() + begin, row.ids.size(), 0);
    if (typed) std::ranges::copy(row.types, types.data_ptr<std::int64_t>() + begin);
  }
  model::Input out;
  out.ids = ids.to(model.device());
  out.segments = segments;
  if (typed) out.types = types.to(model.device());
  out.adapters = {adapter};
  return out;
}

data::Example example_of(std::span<const tokenizer::TokenId> ids, std::size_t count) {
  data::Example out;
  out.ids.assign(ids.begin(), ids.end());
  out.loss_mask.assign(ids.size(), 0);
  for (std::size_t i = 1; i < std::min(count + 1, ids.size()); ++i) out.loss_mask[i] = 1;
  return out;
}

}  // namespace qloft::train
