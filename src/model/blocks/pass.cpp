#include "pass.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>

#include "../observe.h"
#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using architecture::RowSlice;
using at::Tensor;

std::vector<AdapterTokens> group_by_adapter(const Tensor& adapter_of_token) {
  const std::int64_t* ids = adapter_of_token.data_ptr<std::int64_t>();
  const std::int64_t count = adapter_of_token.numel();
  std::set<std::int64_t> distinct(ids, ids + count);
  distinct.erase(kNoAdapter);
  std::vector<AdapterTokens> out;
  for (const std::int64_t id : distinct) {
    std::vector<std::int64_t> tokens;
    for (std::int64_t i = 0; i < count; ++i) {
      if (ids[i] == id) tokens.push_back(i);
    }
    out.push_back({static_cast<AdapterId>(id), at::tensor(tokens, at::kLong)});
  }
  return out;
}

backend::LinearUse use_of(const Pass& pass, ParameterId id) {
  const Linear& linear = pass.state->linear(id);
  backend::LinearUse use{&linear.weight, linear.bias, {}, 0};
  for (const AdapterTokens& group : pass.adapters) {
    if (const LowRank* factors = linear.factors(group.adapter)) {
      use.factors.push_back({*factors, group.tokens});
    }
  }
  if (pass.dropout_seed != 0) {
    use.dropout_seed = (pass.dropout_seed + linear.number * 0x9e3779b97f4a7c15ull) | 1u;
  }
  return use;
}

Tensor slice_of(const Tensor& y, const RowSlice& slice) {
  const std::int64_t group = y.size(-1) / slice.groups;
  if (slice.groups == 1) {
    return slice.count == group ? y : y.narrow(-1, slice.first, slice.count);
  }
  auto shape = y.sizes().vec();
  shape.back() = slice.groups;
  shape.push_back(group);
  auto flat = y.sizes().vec();
  flat.back() = slice.groups * slice.count;
  return y.view(shape).narrow(-1, slice.first, slice.count).reshape(flat);
}

}  // namespace

void choose_adapters(Pass& pass, const std::vector<AdapterId>& adapters,
                     const std::vector<std::int64_t>& lengths) {
  if (adapters.size() > 1 && adapters.size() != lengths.size()) {
    throw InputError({{}, "adapters"}, "expected one adapter for each of " +
                                           std::to_string(lengths.size()) + " rows, found " +
                                           std::to_string(adapters.size()));
  }
  for (const AdapterId id : adapters) {
    const auto& attached = pass.state->adapters;
    const bool known = id >= 0 && static_cast<std::size_t>(id) < attached.size() &&
                       !attached[static_cast<std::size_t>(id)].name.empty();
    if (id != kNoAdapter && !known) {
      throw InputError({{}, "adapters"}, "no adapter " + std::to_string(id) + " is attached");
    }
  }
  pass.adapters.clear();
  if (adapters.empty()) return;
  const bool uniform =
      std::ranges::all_of(adapters, [&](AdapterId id) { return id == adapters.front(); });
  if (uniform) {
    if (adapters.front() != kNoAdapter) pass.adapters.push_back({adapters.front(), {}});
    return;
  }
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  pass.adapter_of_token = at::empty({tokens}, at::kLong);
  std::int64_t* out = pass.adapter_of_token.data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    out = std::fill_n(out, lengths[row], adapters[row]);
  }
  pass.adapters = group_by_adapter(pass.adapter_of_token);
}

Pass over_tokens(const Pass& pass, const Tensor& tokens) {
  Pass out = pass;
  if (!pass.adapter_of_token.defined()) return out;
  out.adapter_of_token = pass.adapter_of_token.index_select(0, tokens.to(at::kCPU));
  out.adapters = group_by_adapter(out.adapter_of_token);
  return out;
}

Tensor apply(const Pass& pass, ParameterId id, const Tensor& x) {
  const auto use = use_of(pass, id);
  Tensor y = backend::linear(x, *use.weight, use.bias, use.factors, use.dropout_seed);
  const auto role = pass.layout().parameter(id).role;
  const bool shown = role == architecture::Role::linear || role == architecture::Role::output;
  if (pass.state->observer == nullptr || !shown) return y;
  return observed(pass.state->observer, pass.state->linear(id).module, x, y);
}

Tensor apply_with(const Pass& pass, ParameterId id, const Tensor& x, const Tensor& weight,
                  const Tensor& bias) {
  auto use = use_of(pass, id);
  Weight other;
  if (weight.defined()) {
    other.storage = weight;
    use.weight = &other;
  }
  if (bias.defined()) use.bias = bias;
  return backend::linear(x, *use.weight, use.bias, use.factors, use.dropout_seed);
}

std::vector<Tensor> apply_slices(const Pass& pass, std::span<const RowSlice* const> slices,
                                 const Tensor& x) {
  std::vector<ParameterId> ids;
  for (const RowSlice* slice : slices) {
    if (std::ranges::find(ids, slice->linear) == ids.end()) ids.push_back(slice->linear);
  }
  std::vector<Tensor> results;
  if (pass.state->observer != nullptr) {
    for (const ParameterId id : ids) results.push_back(apply(pass, id, x));
  } else {
    std::vector<backend::LinearUse> uses;
    uses.reserve(ids.size());
    for (const ParameterId id : ids) uses.push_back(use_of(pass, id));
    results = backend::linear_together(uses, x);
  }
  std::vector<Tensor> out;
  for (const RowSlice* slice : slices) {
    const auto at = std::ranges::find(ids, slice->linear) - ids.begin();
    out.push_back(slice_of(results[static_cast<std::size_t>(at)], *slice));
  }
  return out;
}

}  // namespace qloft::model
