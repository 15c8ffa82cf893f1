#include "ends.h"

#include <ATen/TensorOperators.h>

#include <string>

#include "norm.h"
#include "qloft/core.h"

namespace qloft::model {

using at::Tensor;

void check_ids(const Tensor& ids, const Layout& layout) {
  if (ids.numel() == 0) return;
  const auto low = ids.min().item<std::int64_t>(), high = ids.max().item<std::int64_t>();
  if (low >= 0 && high < layout.vocabulary_size) return;
  throw InputError({{}, "ids"}, "expected ids below the vocabulary's size of " +
                                    std::to_string(layout.vocabulary_size) + ", found " +
                                    std::to_string(low < 0 ? low : high));
}

Tensor embed(const Pass& pass, const Tensor& ids, const Tensor& positions) {
  const Model::State& state = *pass.state;
  const auto& embedding = state.layout.embedding;
  Tensor x = backend::look_up(state.linear(embedding.tokens).weight, ids, state.dtype);
  if (embedding.multiplier != 1) {
    // Rounded to the activations' type first, as transformers does.
    const auto multiplier = static_cast<float>(embedding.multiplier);
    x = x * (state.dtype == at::kBFloat16 ? round_to(multiplier, ElementType::bf16) : multiplier);
  }
  if (embedding.projection != architecture::kNoParameter) x = apply(pass, embedding.projection, x);
  if (embedding.positions == architecture::kNoParameter) return x;
  const Weight& table = state.linear(embedding.positions).weight;
  const std::int64_t most = table.rows() - embedding.position_offset;
  const std::int64_t last = positions.numel() > 0 ? positions.max().item<std::int64_t>() : 0;
  if (last >= most) {
    throw InputError({{}, "positions"}, "expected positions below the model's " +
                                            std::to_string(most) + ", found " +
                                            std::to_string(last));
  }
  return x + backend::look_up(table, positions + embedding.position_offset, state.dtype);
}

Tensor finish(const Pass& pass, const Tensor& x) {
  const auto& output = pass.layout().output;
  const Tensor normed = normalize(pass, output.norm, x);
  if (output.projection == architecture::kNoParameter) return normed;
  return apply(pass, output.projection, normed);
}

}  // namespace qloft::model
