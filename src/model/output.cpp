// From hidden states to logits, and to the loss of predictions.
#include <ATen/TensorOperators.h>

#include <utility>

#include "blocks/pass.h"
#include "observe.h"

namespace qloft::model {

using at::Tensor;

void Model::set_output_type(OutputType type) {
  Weight& weight = state_->linear(state_->layout.output.matrix).weight;
  if (type == output_type()) return;
  if (type == OutputType::stored) {
    weight = *std::exchange(state_->stored_output, std::nullopt);
    return;
  }
  Weight packed = backend::in_eight_bits(weight);
  if (packed.is_packed() && !weight.is_packed()) {
    state_->stored_output = std::exchange(weight, std::move(packed));
  }
}

OutputType Model::output_type() const {
  return state_->stored_output ? OutputType::int8 : OutputType::stored;
}

Tensor Model::logits(const Tensor& hidden, const std::vector<AdapterId>& adapters) {
  const auto& output = state_->layout.output;
  Pass pass;
  pass.state = state_.get();
  const std::int64_t rows = hidden.size(0);
  const std::int64_t length = hidden.numel() / hidden.size(-1) / std::max<std::int64_t>(1, rows);
  choose_adapters(pass, adapters, equal_rows(rows, length));
  Tensor logits = apply(pass, output.matrix, hidden).to(at::kFloat);
  if (output.multiplier != 1) logits = logits * output.multiplier;
  if (output.soft_cap != 0) logits = (logits / output.soft_cap).tanh() * output.soft_cap;
  return logits;
}

Tensor Model::cross_entropy(const Tensor& hidden, const Tensor& positions, const Tensor& targets,
                            const std::vector<AdapterId>& adapters, std::int64_t length) {
  const auto& output = state_->layout.output;
  const Linear& matrix = state_->linear(output.matrix);
  Pass pass;
  pass.state = state_.get();
  choose_adapters(pass, adapters,
                  equal_rows(hidden.size(0) / std::max<std::int64_t>(1, length), length));
  // What of `positions` uses these factors.
  const auto sum_of = [&](const LowRank* factors, const Tensor& which) {
    backend::LogitsRule rule;
    if (factors != nullptr) rule.factors = *factors;
    if (state_->training) {
      rule.dropout_seed = (state_->dropout_seed + matrix.number * 0x9e3779b97f4a7c15ull +
                           state_->dropout_calls * 0xd1342543de82ef95ull) |
                          1u;
    }
    rule.bias = matrix.bias;
    rule.multiplier = output.multiplier;
    rule.soft_cap = output.soft_cap;
    const Tensor chosen = which.defined() ? positions.index_select(0, which) : positions;
    const Tensor wanted = which.defined() ? targets.index_select(0, which) : targets;
    const Tensor states = hidden.index_select(0, chosen.to(hidden.device()));
    Tensor sum = backend::summed_cross_entropy(states, matrix.weight, rule, wanted);
    if (state_->observer == nullptr) return sum;
    return observed_loss(state_->observer, matrix.module, sum, states, matrix.weight, rule, wanted);
  };
  if (!pass.adapter_of_token.defined()) {
    const AdapterId id = pass.adapters.empty() ? kNoAdapter : pass.adapters.front().adapter;
    return sum_of(id == kNoAdapter ? nullptr : matrix.factors(id), {});
  }
  const Tensor of_position = pass.adapter_of_token.index_select(0, positions);
  Tensor sum;
  for (AdapterId id = kNoAdapter; id < static_cast<AdapterId>(state_->adapters.size()); ++id) {
    const Tensor which = of_position.eq(id).nonzero().flatten();
    if (which.numel() == 0) continue;
    const Tensor part = sum_of(id == kNoAdapter ? nullptr : matrix.factors(id), which);
    sum = sum.defined() ? sum + part : part;
  }
  return sum.defined() ? sum : sum_of(nullptr, {});
}

}  // namespace qloft::model
