#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <set>
#include <utility>

#include "block.h"
#include "qloft/backend/tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a block uses that belongs to all blocks.
std::set<ParameterId> used_from_outside(const Layout& layout, std::int64_t index) {
  std::set<ParameterId> out;
  for (const auto& branch : layout.blocks[static_cast<std::size_t>(index)].branches) {
    const auto* attention = std::get_if<architecture::Attention>(&branch.body);
    if (attention == nullptr) continue;
    if (attention->bias) out.insert(attention->bias->table);
    if (!attention->distances) continue;
    out.insert(attention->distances->table);
    if (!attention->distances->norm) continue;
    out.insert({attention->distances->norm->weight, attention->distances->norm->bias});
  }
  return out;
}

// What gradients go to within one block, in the order of the layout.
variable_list trained_in(const Pass& pass, std::int64_t index) {
  variable_list out;
  const auto used = used_from_outside(pass.layout(), index);
  const auto add = [&](const Tensor& tensor) {
    if (tensor.defined() && tensor.requires_grad()) out.push_back(tensor);
  };
  const auto& parameters = pass.layout().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].layer != index && !used.contains(static_cast<ParameterId>(i))) continue;
    add(pass.state->vectors[i]);
    const Linear& linear = pass.state->linears[i];
    add(linear.weight.dense());
    for (const AdapterTokens& group : pass.adapters) {
      const LowRank* factors = linear.factors(group.adapter);
      if (factors == nullptr) continue;
      add(factors->a);
      add(factors->b);
    }
  }
  return out;
}

struct CheckpointedCall : torch::CustomClassHolder {
  std::int64_t index = 0;
  Pass pass;
};

// The block's trained tensors are inputs of this node, so that their gradients pass through it, as
// are x and what the encoder of an encoder-decoder ended with.
struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const backend::MaybeTensor& encoded,
                        const at::TensorList& trained,
                        const c10::intrusive_ptr<CheckpointedCall>& call) {
    variable_list saved = {x, encoded.value_or(Tensor())};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->saved_data["needs_x"] = x.requires_grad();
    ctx->saved_data["needs_encoded"] = encoded && encoded->requires_grad();
    Pass pass = call->pass;
    pass.encoded = encoded.value_or(Tensor());
    return forward_block(pass, call->index, x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data["call"].toCapsule();
    const CheckpointedCall& call = static_cast<const CheckpointedCall&>(*capsule);
    const bool needs_x = ctx->saved_data["needs_x"].toBool();
    const bool needs_encoded = ctx->saved_data["needs_encoded"].toBool();
    Pass pass = call.pass;
    const Tensor x = saved[0].detach().requires_grad_(needs_x);
    if (saved[1].defined()) pass.encoded = saved[1].detach().requires_grad_(needs_encoded);
    variable_list inputs;
    if (needs_x) inputs.push_back(x);
    if (needs_encoded) inputs.push_back(pass.encoded);
    inputs.insert(inputs.end(), saved.begin() + 2, saved.end());
    variable_list out;
    {
      const at::AutoGradMode with_grad(true);
      const Tensor y = forward_block(pass, call.index, x);
      out = torch::autograd::grad({y}, inputs, {gradients[0]}, std::nullopt, false, true);
    }
    if (!needs_x) out.insert(out.begin(), Tensor());
    if (!needs_encoded) out.insert(out.begin() + 1, Tensor());
    out.emplace_back();  // the call
    return out;
  }
};

}  // namespace

Tensor forward_block_checkpointed(const Pass& pass, std::int64_t index, const Tensor& x) {
  auto call = c10::make_intrusive<CheckpointedCall>();
  call->index = index;
  call->pass = pass;
  call->pass.encoded.reset();
  const variable_list trained = trained_in(pass, index);
  return CheckpointFunction::apply(x, backend::maybe(pass.encoded), at::TensorList(trained), call);
}

Tensor forward_blocks(const Pass& pass, std::int64_t first, std::int64_t end, Tensor x) {
  const bool checkpointed = pass.state->checkpointing && at::GradMode::is_enabled();
  for (std::int64_t i = first; i < end; ++i) {
    x = checkpointed ? forward_block_checkpointed(pass, i, x) : forward_block(pass, i, x);
  }
  return x;
}

}  // namespace qloft::model
