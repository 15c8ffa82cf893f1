#include "observe.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "qloft/backend/tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct ObservedLayer : torch::CustomClassHolder {
  std::shared_ptr<const Observer> observer;
  std::string module;
};

// The identity, which shows its gradient to the observer.
struct ObserveFunction : torch::autograd::Function<ObserveFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& y, const Tensor& x,
                        const c10::intrusive_ptr<ObservedLayer>& layer) {
    ctx->save_for_backward({x});
    ctx->saved_data["layer"] = c10::IValue::make_capsule(layer);
    return y.view(y.sizes());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto capsule = ctx->saved_data["layer"].toCapsule();
    const auto& layer = static_cast<const ObservedLayer&>(*capsule);
    const Tensor input = backend::as_f32(ctx->get_saved_variables()[0]).cpu();
    const Tensor gradient = backend::as_f32(gradients[0]).cpu();
    layer.observer->gradient(layer.module, backend::matrix_of(input), backend::matrix_of(gradient));
    return {gradients[0], Tensor(), Tensor()};
  }
};

}  // namespace

Tensor observed(const std::shared_ptr<const Observer>& observer, const std::string& module,
                const Tensor& x, const Tensor& y) {
  if (observer->input) {
    const Tensor input = backend::as_f32(x.detach()).cpu();
    observer->input(module, backend::matrix_of(input));
  }
  if (!observer->gradient || !at::GradMode::is_enabled() || !y.requires_grad()) return y;
  auto layer = c10::make_intrusive<ObservedLayer>();
  layer->observer = observer;
  layer->module = module;
  return ObserveFunction::apply(y, x.detach(), layer);
}

}  // namespace qloft::model
