#include "ends.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <string>

#include "head.h"
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

namespace {

// x with the rows that `places` int64 [rows, length] names.
Tensor add_rows(const Pass& pass, const Tensor& x, ParameterId table, const Tensor& places) {
  const Weight& weight = pass.state->linear(table).weight;
  return x + backend::look_up(weight, places, pass.state->dtype);
}

void expect_within(std::int64_t least, std::int64_t end, const Tensor& values, const char* name) {
  if (values.numel() == 0) return;
  const auto low = values.min().item<std::int64_t>(), high = values.max().item<std::int64_t>();
  if (low >= least && high < end) return;
  throw InputError({{}, name}, std::string("expected ") + name + " below the model's " +
                                   std::to_string(end) + ", found " +
                                   std::to_string(low < least ? low : high));
}

// [rows, length, width], in f64 as transformers makes them.
Tensor sinusoids(const Tensor& positions, std::int64_t width) {
  const auto doubles = at::TensorOptions(at::kDouble).device(positions.device());
  const Tensor exponents = at::arange(0, width, 2, doubles) / static_cast<double>(width);
  const Tensor angles =
      positions.to(at::kDouble).unsqueeze(-1) / at::pow(at::Scalar(10000.0), exponents);
  return at::cat({angles.sin(), angles.cos()}, -1);
}

}  // namespace

Tensor embed(const Pass& pass, const architecture::Embedding& embedding,
             const TokenPlaces& places) {
  const Model::State& state = *pass.state;
  const Linear& tokens = state.linear(embedding.tokens);
  Tensor x = backend::look_up(tokens.weight, places.ids, state.dtype);
  if (embedding.padding >= 0 && x.requires_grad()) {
    x = at::where(places.ids.eq(embedding.padding).unsqueeze(-1), x.detach(), x);
  }
  for (const AdapterTokens& group : pass.adapters) {
    if (const LowRank* factors = tokens.factors(group.adapter)) {
      x = add_low_rank(x, places.ids, *factors, group.tokens);
    }
  }
  if (embedding.multiplier != 1) {
    // Rounded to the activations' type first, as transformers does.
    const auto multiplier = static_cast<float>(embedding.multiplier);
    x = x * (state.dtype == at::kBFloat16 ? round_to(multiplier, ElementType::bf16) : multiplier);
  }
  // What is as wide as the tokens' rows comes before a projection, the rest behind it.
  const auto add_what_fits = [&](std::int64_t width) {
    const auto fits = [&](ParameterId table) {
      return table != architecture::kNoParameter &&
             state.layout.parameter(table).columns() == width;
    };
    if (fits(embedding.types)) {
      expect_within(0, state.layout.parameter(embedding.types).rows(), places.types, "types");
      x = add_rows(pass, x, embedding.types, places.types);
    }
    if (fits(embedding.positions)) {
      const std::int64_t offset = embedding.position_offset;
      const std::int64_t rows = state.layout.parameter(embedding.positions).rows();
      expect_within(embedding.uncounted < 0 ? 0 : -1, rows - offset, places.positions, "positions");
      x = add_rows(pass, x, embedding.positions, places.positions + offset);
    }
    if (embedding.sinusoids) {
      expect_within(0, state.layout.max_positions, places.positions, "positions");
      x = x + sinusoids(places.positions, width).to(x.scalar_type());
    }
    if (embedding.norm && state.layout.parameter(embedding.norm->weight).columns() == width) {
      x = normalize(pass, *embedding.norm, x);
    }
  };
  add_what_fits(x.size(-1));
  if (embedding.projection == architecture::kNoParameter) return x;
  x = apply(pass, embedding.projection, x);
  add_what_fits(x.size(-1));
  return x;
}

Tensor finish(const Pass& pass, const Tensor& x) {
  const auto& layout = pass.layout();
  Tensor normed = normalize(pass, layout.output.norm, x);
  if (layout.output.projection != architecture::kNoParameter) {
    normed = apply(pass, layout.output.projection, normed);
  }
  if (layout.head.kind != architecture::HeadKind::masked_token) return normed;
  return run_head(pass, normed);
}

}  // namespace qloft::model
