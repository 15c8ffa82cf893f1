#include "encode.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <string>
#include <utility>

#include "blocks/block.h"
#include "blocks/cross_attention.h"
#include "blocks/ends.h"
#include "blocks/norm.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "state.h"

namespace qloft::model {

using at::Tensor;

Tensor moved_right(const Layout& layout, const Tensor& ids) {
  const auto& encoder = *layout.encoder;
  const std::int64_t rows = ids.size(0), length = ids.size(1);
  const Tensor filled = ids.masked_fill(ids.lt(0), encoder.padding_token);
  Tensor first;
  if (encoder.start_token >= 0) {
    first = at::full({rows, 1}, encoder.start_token, ids.options());
  } else {
    const Tensor last = filled.ne(encoder.padding_token).sum(1, true) - 1;
    first = filled.gather(1, last.clamp_min(0));
  }
  return at::cat({first, filled.narrow(1, 0, length - 1)}, 1);
}

Input source_and_target(const Layout& layout, const Input& text) {
  if (text.source.ids.defined()) {
    throw InputError({{}, "source"}, "expected none: the head reads the text itself");
  }
  Input out;
  out.source = {text.ids, text.segments};
  const Tensor ids =
      text.segments.defined()
          ? text.ids.masked_fill(text.segments.to(text.ids.device()).lt(0), /*padding*/ -1)
          : text.ids;
  // Padding is behind all that a target's tokens see.
  out.ids = moved_right(layout, ids);
  out.adapters = text.adapters;
  return out;
}

void check_source(const Source& source, std::int64_t rows, const Layout& layout) {
  if (!layout.encoder) {
    if (!source.ids.defined()) return;
    throw InputError({{}, "source"}, "expected none: " + layout.family + " is no encoder-decoder");
  }
  const Tensor& ids = source.ids;
  if (!ids.defined() || ids.dim() != 2 || ids.scalar_type() != at::kLong || ids.size(0) != rows ||
      ids.size(1) == 0) {
    throw InputError({{}, "source"},
                     "expected int64 [" + std::to_string(rows) + ", length], found " +
                         (ids.defined() ? shape_text(ids.sizes().vec()) : "nothing"));
  }
  check_ids(ids, layout);
  const Tensor& segments = source.segments;
  if (segments.defined() &&
      (segments.sizes() != ids.sizes() || segments.scalar_type() != at::kLong)) {
    throw InputError({{}, "source"}, "expected segments int64 " + shape_text(ids.sizes().vec()) +
                                         ", found " + shape_text(segments.sizes().vec()));
  }
}

void encode(const Source& source, const std::vector<AdapterId>& adapters, Pass& pass) {
  const auto& encoder = *pass.layout().encoder;
  const std::int64_t rows = source.ids.size(0), length = source.ids.size(1);
  Pass own;
  own.state = pass.state;
  own.dropout_seed = pass.dropout_seed;
  choose_adapters(own, adapters, equal_rows(rows, length));
  if (source.segments.defined()) own.segments = source.segments.to(at::kCPU).contiguous();
  const Tensor positions = at::arange(length, source.ids.options()).expand({rows, length});
  Tensor x = embed(own, encoder.embedding, {source.ids, positions, {}});
  if (own.state->observer != nullptr && own.state->observer->gradient &&
      at::GradMode::is_enabled()) {
    x.requires_grad_(true);
  }
  x = forward_blocks(own, 0, encoder.blocks, x);
  pass.encoded = normalize(own, encoder.norm, x);
  pass.source = std::make_shared<const Pass>(std::move(own));
}

void store_source(const Model::State& state, const std::vector<std::int64_t>& ids,
                  AdapterId adapter, KeyValueCache::State& cache) {
  const at::NoGradGuard no_grad;
  const Source source{at::tensor(ids, at::kLong).to(state.device).unsqueeze(0)};
  check_source(source, 1, state.layout);
  Pass pass;
  pass.state = &state;
  encode(source, {adapter}, pass);
  cache.source_length = std::ssize(ids);
  for (std::int64_t i = state.layout.first_block(); i < state.layout.layers(); ++i) {
    for (const auto& branch : state.layout.blocks[static_cast<std::size_t>(i)].branches) {
      const auto* a = std::get_if<architecture::Attention>(&branch.body);
      if (a == nullptr || !a->cross) continue;
      const SourceHeads heads = source_heads(pass, *a);
      for (auto& [kept, values] : {std::pair{&cache.source_keys, heads.keys},
                                   std::pair{&cache.source_values, heads.values}}) {
        kept->push_back(backend::make_cached_heads(state.cache, a->heads, cache.source_length,
                                                   a->head_dim, state.device));
        backend::store(kept->back(), 0, values);
      }
    }
  }
}

}  // namespace qloft::model
