#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "block.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What gradients go to within one layer, in a fixed order.
variable_list trained_in(const Layer& layer) {
  variable_list out;
  const auto add = [&](const Tensor& tensor) {
    if (tensor.defined() && tensor.requires_grad()) out.push_back(tensor);
  };
  for (const Tensor& norm :
       {layer.input_norm, layer.post_attention_norm, layer.q_norm, layer.k_norm}) {
    add(norm);
  }
  Layer::for_each_linear(layer, [&](const Linear& linear) {
    add(linear.weight.dense);
    add(linear.bias);
    if (linear.active != nullptr) {
      add(linear.active->a);
      add(linear.active->b);
    }
  });
  return out;
}

struct CheckpointedCall : torch::CustomClassHolder {
  const Layer* layer = nullptr;
  std::int64_t index = 0;
  Pass pass;
};

// The layer's trained tensors are inputs of this node, so that their gradients pass through it.
struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const at::TensorList& trained,
                        const c10::intrusive_ptr<CheckpointedCall>& call) {
    variable_list saved = {x};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->saved_data["needs_x"] = x.requires_grad();
    return model::forward(*call->layer, call->index, x, call->pass);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    variable_list inputs = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data["call"].toCapsule();
    const CheckpointedCall& call = static_cast<const CheckpointedCall&>(*capsule);
    const bool needs_x = ctx->saved_data["needs_x"].toBool();
    const Tensor x = inputs[0].detach().requires_grad_(needs_x);
    if (needs_x) {
      inputs[0] = x;
    } else {
      inputs.erase(inputs.begin());
    }
    variable_list out;
    {
      const at::AutoGradMode with_grad(true);
      const Tensor y = model::forward(*call.layer, call.index, x, call.pass);
      out = torch::autograd::grad({y}, inputs, {gradients[0]}, std::nullopt, false, true);
    }
    if (!needs_x) out.insert(out.begin(), Tensor());
    out.emplace_back();  // the call
    return out;
  }
};

}  // namespace

Tensor forward_checkpointed(const Layer& layer, std::int64_t index, const Tensor& x,
                            const Pass& pass) {
  auto call = c10::make_intrusive<CheckpointedCall>();
  call->layer = &layer;
  call->index = index;
  call->pass = pass;
  const variable_list trained = trained_in(layer);
  return CheckpointFunction::apply(x, at::TensorList(trained), call);
}

}  // namespace qloft::model
