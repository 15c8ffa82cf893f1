#include "observe.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "qloft/backend/tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [tokens, values]
Tensor flat(const Tensor& x) {
  return x.reshape({-1, x.size(-1)}).contiguous();
}

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
    const Tensor gradient = flat(gradients[0]);
    layer.observer->gradient(layer.module, flat(ctx->get_saved_variables()[0]),
                             {gradient, 0, gradient.size(1)});
    return {gradients[0], Tensor(), Tensor()};
  }
};

// Gradients of the output matrix's products held at once: 64 MiB.
constexpr std::int64_t kGradientsAtOnce = 1 << 24;

struct ObservedLoss : torch::CustomClassHolder {
  std::shared_ptr<const Observer> observer;
  std::string module;
  backend::Weight weight;
  backend::LogitsRule rule;
};

struct ObserveLossFunction : torch::autograd::Function<ObserveLossFunction> {
  // `kept`: gradients of all products, or none.
  static Tensor forward(AutogradContext* ctx, const Tensor& sum, const Tensor& states,
                        const Tensor& targets, const backend::MaybeTensor& kept,
                        const c10::intrusive_ptr<ObservedLoss>& loss) {
    ctx->save_for_backward({states, targets, kept.value_or(Tensor())});
    ctx->saved_data["loss"] = c10::IValue::make_capsule(loss);
    return sum.view(sum.sizes());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto capsule = ctx->saved_data["loss"].toCapsule();
    const auto& loss = static_cast<const ObservedLoss&>(*capsule);
    const variable_list saved = ctx->get_saved_variables();
    const Tensor input = flat(saved[0]);
    const std::int64_t outputs = loss.weight.rows();
    const auto scale = gradients[0].item<double>();
    if (saved[2].defined()) {
      loss.observer->gradient(loss.module, input, {saved[2], 0, outputs, scale});
      return {gradients[0], Tensor(), Tensor(), Tensor(), Tensor()};
    }
    const std::int64_t at_once = std::clamp<std::int64_t>(
        kGradientsAtOnce / std::max<std::int64_t>(1, input.size(0)), 1, outputs);
    backend::logit_gradients(saved[0], loss.weight, loss.rule, saved[1], scale, at_once,
                             [&](const Tensor& slice, std::int64_t first) {
                               loss.observer->gradient(loss.module, input, {slice, first, outputs});
                             });
    return {gradients[0], Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

void show_input(const Observer& observer, const std::string& module, const Tensor& x) {
  if (observer.input) observer.input(module, flat(x.detach()));
}

}  // namespace

Tensor observed_loss(const std::shared_ptr<const Observer>& observer, const std::string& module,
                     const Tensor& states, const backend::Weight& weight,
                     const backend::LogitsRule& rule, const Tensor& targets) {
  show_input(*observer, module, states);
  const bool observes = observer->gradient && at::GradMode::is_enabled() && states.requires_grad();
  Tensor kept;
  const std::int64_t count = states.size(0) * weight.rows();
  if (observes && count * states.element_size() <= observer->logit_bytes) {
    kept = at::empty({states.size(0), weight.rows()}, states.options().requires_grad(false));
  }
  const Tensor sum = backend::summed_cross_entropy(states, weight, rule, targets, kept);
  if (!observes) return sum;
  auto loss = c10::make_intrusive<ObservedLoss>();
  loss->observer = observer;
  loss->module = module;
  loss->weight = weight;
  loss->rule = rule;
  return ObserveLossFunction::apply(sum, states.detach(), targets, backend::maybe(kept), loss);
}

Tensor observed(const std::shared_ptr<const Observer>& observer, const std::string& module,
                const Tensor& x, const Tensor& y) {
  show_input(*observer, module, x);
  if (!observer->gradient || !at::GradMode::is_enabled() || !y.requires_grad()) return y;
  auto layer = c10::make_intrusive<ObservedLayer>();
  layer->observer = observer;
  layer->module = module;
  return ObserveFunction::apply(y, x.detach(), layer);
}

}  // namespace qloft::model
