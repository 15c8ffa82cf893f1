// From hidden states to logits, and to the loss of predictions.
#include <ATen/TensorOperators.h>

#include <utility>

#include "blocks/pass.h"
#include "observe.h"
#include "qloft/core/error.h"

namespace qloft::model {

using at::Tensor;

void Model::set_output_type(OutputType type) {
  if (state_->layout.output.matrix == architecture::kNoParameter) return;
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

namespace {

// The sum over `positions` of a loss of their logits. part(states, rule, which): of those that use
// the same factors; `which`: their places among `positions`, undefined: all.
template <typename Part>
Tensor sum_of_positions(const Model::State& state, const Tensor& hidden, const Tensor& positions,
                        const std::vector<AdapterId>& adapters, std::int64_t length,
                        const Part& part) {
  const auto& output = state.layout.output;
  const Linear& matrix = state.linear(output.matrix);
  Pass pass;
  pass.state = &state;
  choose_adapters(pass, adapters,
                  equal_rows(hidden.size(0) / std::max<std::int64_t>(1, length), length));
  const auto sum_of = [&](const LowRank* factors, const Tensor& which) {
    backend::LogitsRule rule;
    if (factors != nullptr) rule.factors = *factors;
    if (state.training) {
      rule.dropout_seed = (state.dropout_seed + matrix.number * 0x9e3779b97f4a7c15ull +
                           state.dropout_calls * 0xd1342543de82ef95ull) |
                          1u;
    }
    rule.bias = matrix.bias;
    rule.multiplier = output.multiplier;
    rule.soft_cap = output.soft_cap;
    const Tensor chosen = which.defined() ? positions.index_select(0, which) : positions;
    return part(hidden.index_select(0, chosen.to(hidden.device())), rule, which);
  };
  if (!pass.adapter_of_token.defined()) {
    const AdapterId id = pass.adapters.empty() ? kNoAdapter : pass.adapters.front().adapter;
    return sum_of(id == kNoAdapter ? nullptr : matrix.factors(id), {});
  }
  const Tensor of_position = pass.adapter_of_token.index_select(0, positions);
  Tensor sum;
  for (AdapterId id = kNoAdapter; id < static_cast<AdapterId>(state.adapters.size()); ++id) {
    const Tensor which = of_position.eq(id).nonzero().flatten();
    if (which.numel() == 0) continue;
    const Tensor found = sum_of(id == kNoAdapter ? nullptr : matrix.factors(id), which);
    sum = sum.defined() ? sum + found : found;
  }
  return sum.defined() ? sum : sum_of(nullptr, {});
}

Tensor chosen_of(const Tensor& rows, const Tensor& which) {
  return which.defined() ? rows.index_select(0, which) : rows;
}

}  // namespace

Tensor Model::cross_entropy(const Tensor& hidden, const Tensor& positions, const Tensor& targets,
                            const std::vector<AdapterId>& adapters, std::int64_t length,
                            double smoothing) {
  const Linear& matrix = state_->linear(state_->layout.output.matrix);
  const bool observed = state_->observer != nullptr;
  if (observed && state_->observer->gradient && smoothing != 0) {
    throw Error({{}, "smoothing"}, "expected none where gradients are observed");
  }
  return sum_of_positions(
      *state_, hidden, positions, adapters, length,
      [&](const Tensor& states, const backend::LogitsRule& rule, const Tensor& which) {
        const Tensor wanted = chosen_of(targets, which);
        if (!observed || smoothing != 0) {
          return backend::summed_cross_entropy(states, matrix.weight, rule, wanted, {}, smoothing);
        }
        return observed_loss(state_->observer, matrix.module, states, matrix.weight, rule, wanted);
      });
}

Tensor Model::divergence(const Tensor& hidden, const Tensor& positions, const TeacherRows& teacher,
                         const Tensor& targets, double next_token_weight,
                         const std::vector<AdapterId>& adapters, std::int64_t length) {
  const Linear& matrix = state_->linear(state_->layout.output.matrix);
  return sum_of_positions(
      *state_, hidden, positions, adapters, length,
      [&](const Tensor& states, const backend::LogitsRule& rule, const Tensor& which) {
        const TeacherRows rows = {chosen_of(teacher.ids, which),
                                  chosen_of(teacher.log_probabilities, which)};
        return backend::summed_divergence(states, matrix.weight, rule, rows,
                                          chosen_of(targets, which), next_token_weight);
      });
}

}  // namespace qloft::model
