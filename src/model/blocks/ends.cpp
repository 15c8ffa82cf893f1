#include "ends.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>

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

namespace {

// x [rows, length, width] with scale * B[ids] A added to the embeddings of `tokens` (undefined: of
// all), as PEFT's Embedding does; no dropout there.
Tensor add_low_rank(const Tensor& x, const Tensor& ids, const LowRank& factors,
                    const Tensor& tokens) {
  const Tensor flat = ids.flatten();
  const Tensor which = tokens.defined() ? tokens.to(ids.device()) : Tensor();
  const Tensor chosen = which.defined() ? flat.index_select(0, which) : flat;
  const Tensor added = at::embedding(factors.b, chosen).matmul(factors.a) * factors.scale;
  const Tensor rows = x.reshape({-1, x.size(-1)});
  const Tensor sum = which.defined() ? rows.index_add(0, which, added.to(x.scalar_type()))
                                     : rows + added.to(x.scalar_type());
  return sum.view(x.sizes());
}

}  // namespace

Tensor embed(const Pass& pass, const Tensor& ids, const Tensor& positions) {
  const Model::State& state = *pass.state;
  const auto& embedding = state.layout.embedding;
  const Linear& tokens = state.linear(embedding.tokens);
  Tensor x = backend::look_up(tokens.weight, ids, state.dtype);
  for (const AdapterTokens& group : pass.adapters) {
    if (const LowRank* factors = tokens.factors(group.adapter)) {
      x = add_low_rank(x, ids, *factors, group.tokens);
    }
  }
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
  Tensor normed = normalize(pass, output.norm, x);
  if (output.projection == architecture::kNoParameter) return normed;
  return apply(pass, output.projection, normed);
}

}  // namespace qloft::model
