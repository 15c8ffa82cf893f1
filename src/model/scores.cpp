// What a head says of whole inputs.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <set>
#include <string>

#include "blocks/head.h"
#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using architecture::HeadKind;
using at::Tensor;

// f32 [rows, length, 1]: 1 for tokens, 0 for padding.
Tensor weights_of(const Input& input) {
  if (!input.segments.defined()) {
    return at::ones({input.ids.size(0), input.ids.size(1), 1},
                    at::TensorOptions(at::kFloat).device(input.ids.device()));
  }
  return input.segments.ge(0).to(input.ids.device(), at::kFloat).unsqueeze(2);
}

Tensor mean_of(const Tensor& states, const Input& input) {
  const Tensor weights = weights_of(input);
  return (states.to(at::kFloat) * weights).sum(1) / weights.sum(1).clamp_min(1);
}

// The state of each row's last `end` token: [rows, columns].
Tensor at_last_end(const Tensor& states, const Input& input, std::int64_t end) {
  Tensor here = input.ids.eq(end);
  if (input.segments.defined()) here = here.logical_and(input.segments.to(here.device()).ge(0));
  if (!here.any(1).all().item<bool>()) {
    throw InputError({{}, "ids"}, "expected the token that ends a text (eos_token_id " +
                                      std::to_string(end) + ") in each row");
  }
  const Tensor places = at::arange(input.ids.size(1), input.ids.options());
  const Tensor last = here.to(at::kLong).mul(places).argmax(1);
  return states.gather(1, last.view({-1, 1, 1}).expand({-1, 1, states.size(2)})).squeeze(1);
}

Tensor pooled(const architecture::Head& head, const Tensor& states, const Input& input) {
  using Pooling = architecture::Head::Pooling;
  switch (head.pooling) {
    case Pooling::mean:
      return mean_of(states, input);
    case Pooling::last_end:
      return at_last_end(states, input, head.end_token);
    case Pooling::first:
      break;
  }
  return states.select(1, 0);
}

// The adapters of an input, each with its rows; one for all: without a list.
struct RowsOfAdapter {
  AdapterId adapter = kNoAdapter;
  Tensor rows;  // int64 [n], undefined: all
};

std::vector<RowsOfAdapter> rows_by_adapter(const std::vector<AdapterId>& adapters) {
  const std::set<AdapterId> distinct(adapters.begin(), adapters.end());
  if (distinct.size() < 2) return {{adapters.empty() ? kNoAdapter : adapters.front(), {}}};
  std::vector<RowsOfAdapter> out;
  for (const AdapterId id : distinct) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < adapters.size(); ++i) {
      if (adapters[i] == id) rows.push_back(static_cast<std::int64_t>(i));
    }
    out.push_back({id, at::tensor(rows, at::kLong)});
  }
  return out;
}

}  // namespace

Tensor Model::mean_states(const Input& input) {
  const Tensor states = hidden(input);
  return mean_of(states, input);
}

Tensor Model::scores(const Input& input) {
  const architecture::Head& head = state_->layout.head;
  const bool of_sequences = head.kind == HeadKind::sequence;
  if (!of_sequences && head.kind != HeadKind::spans && head.kind != HeadKind::tokens) {
    throw InputError({{}, "architectures"},
                     "expected a model with a head for sequences, spans or tokens, found " +
                         state_->layout.family + " without one");
  }
  Tensor x = hidden(input).to(at::kFloat);
  if (of_sequences) x = pooled(head, x, input);
  Pass pass;
  pass.state = state_.get();
  if (state_->training) pass.dropout_seed = state_->dropout_seed + state_->dropout_calls;
  std::vector<Tensor> found, order;
  for (const RowsOfAdapter& group : rows_by_adapter(input.adapters)) {
    pass.adapters.clear();
    if (group.adapter != kNoAdapter) pass.adapters.push_back({group.adapter, {}});
    if (!group.rows.defined()) return run_head(pass, x);
    found.push_back(run_head(pass, x.index_select(0, group.rows.to(x.device()))));
    order.push_back(group.rows);
  }
  return at::cat(found).index_select(0, at::cat(order).argsort().to(x.device()));
}

}  // namespace qloft::model
