#include "linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "bf16.h"
#include "dropout.h"
#include "qloft/linalg.h"
#include "tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using linalg::Transpose;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// c = alpha * op(a) * op(b) + beta * c for f32 matrices, wherever they are.
void multiply_into(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, Tensor& c,
                   double alpha, double beta) {
  if (c.is_cpu()) {
    linalg::multiply(matrix_of(a), ta, matrix_of(b), tb, matrix_of(c), static_cast<float>(alpha),
                     static_cast<float>(beta));
    return;
  }
  at::addmm_out(c, c, ta == Transpose::yes ? a.t() : a, tb == Transpose::yes ? b.t() : b, beta,
                alpha);
}

Tensor product(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, double alpha = 1) {
  Tensor c = at::empty({a.size(ta == Transpose::yes ? 1 : 0), b.size(tb == Transpose::yes ? 0 : 1)},
                       a.options());
  multiply_into(a, ta, b, tb, c, alpha, 0);
  return c;
}

// What a call needs beside its tensors.
struct LinearCall {
  Weight weight;  // whose dense tensor goes to the call as a tensor, too, for its gradient
  double scale = 0;
  double dropout = 0;  // 0: none in this call
  std::uint64_t seed = 0;
  std::shared_ptr<const Observer> observer;
  std::string name;  // for the observer

  bool observes_gradients() const { return observer != nullptr && observer->gradient; }

  Tensor drop(const Tensor& x) const {
    return dropout > 0 ? model::dropout(as_f32(x), dropout, seed).to(x.scalar_type()) : x;
  }
};

// y = x W^T + scale * h B^T + bias with h = dropout(x) A^T, from x [n, in] and x W^T [n, out]; and
// h, in bf16 scale * h.
std::pair<Tensor, Tensor> complete(Tensor y, const Tensor& x, const Tensor& bias, const Tensor& a,
                                   const Tensor& b, const LinearCall& call) {
  Tensor h;
  if (a.defined() && runs_in_bf16(x)) {
    h = multiply_bf16(call.drop(x), to_bf16(a).t()).mul_(call.scale);
    add_product_bf16(y, h, to_bf16(b).t());
  } else if (a.defined()) {
    Tensor sum = as_f32(y);
    const Tensor dropped = call.drop(as_f32(x));
    if (x.is_cpu() && x.size(0) <= kFewRows) {
      h = at::empty({x.size(0), a.size(0)}, at::kFloat);
      multiply_few_rows(matrix_of(dropped), a, matrix_of(h), 1.f, false);
      multiply_few_rows(matrix_of(h), b, matrix_of(sum), static_cast<float>(call.scale), true);
    } else {
      h = product(dropped, Transpose::no, a, Transpose::yes);
      multiply_into(h, Transpose::no, b, Transpose::yes, sum, call.scale, 1);
    }
    y = sum.to(x.scalar_type());
  }
  if (bias.defined()) y.add_(bias.to(y.scalar_type()));
  return {y, h};
}

Tensor unflatten(const Tensor& y, const Tensor& x) {
  auto shape = x.sizes().vec();
  shape.back() = y.size(1);
  return y.view(shape);
}

// Saves x (for gradients of A or the weight), the weight's handle, A, B and h.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const MaybeTensor& dense_or_none,
                        const MaybeTensor& bias_or_none, const MaybeTensor& a_or_none,
                        const MaybeTensor& b_or_none, const LinearCall& call) {
    const Tensor dense = dense_or_none.value_or(Tensor()), bias = bias_or_none.value_or(Tensor()),
                 a = a_or_none.value_or(Tensor()), b = b_or_none.value_or(Tensor());
    const Weight& weight = call.weight;
    const Tensor flat = x.reshape({-1, weight.columns()}).contiguous();
    const auto [y, h] = complete(multiply_transposed(flat, weight), flat, bias, a, b, call);

    const bool trains_a = a.defined() && a.requires_grad();
    const bool trains_b = b.defined() && b.requires_grad();
    const bool trains_weight = dense.defined() && dense.requires_grad();
    ctx->save_for_backward(
        {trains_a || trains_weight || call.observes_gradients() ? flat : Tensor(), dense, a, b,
         trains_b ? h : Tensor()});
    ctx->saved_data["shape"] = x.sizes();
    ctx->saved_data["trains"] =
        std::vector<bool>{x.requires_grad(), trains_weight, bias.defined() && bias.requires_grad(),
                          trains_a, trains_b};
    ctx->saved_data["call"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(call));
    return unflatten(y, x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &flat = saved[0], &dense = saved[1], &a = saved[2], &b = saved[3], &h = saved[4];
    const auto capsule = ctx->saved_data["call"].toCapsule();
    const LinearCall& call = static_cast<const Holder&>(*capsule).call;
    const auto trains = ctx->saved_data["trains"].toBoolList();
    const Weight& weight = call.weight;
    const Tensor dy = gradients[0].reshape({-1, weight.rows()}).contiguous();
    const bool needs_x = trains[0], needs_weight = trains[1], needs_bias = trains[2],
               needs_a = trains[3], needs_b = trains[4];

    if (call.observes_gradients()) {
      const Tensor input = as_f32(flat), gradient = as_f32(dy);
      call.observer->gradient(call.name, matrix_of(input), matrix_of(gradient));
    }
    Tensor dx, dweight, dbias, da, db;
    if (needs_x) dx = multiply(dy, weight);
    const bool in_bf16 = a.defined() && runs_in_bf16(dy);
    if (in_bf16) {
      const Tensor dh = multiply_bf16(dy, to_bf16(b)).mul_(call.scale);
      if (needs_a) da = multiply_bf16_to_f32(dh.t(), call.drop(flat));
      if (needs_x && call.dropout > 0) {
        dx.add_(call.drop(multiply_bf16(dh, to_bf16(a))));
      } else if (needs_x) {
        add_product_bf16(dx, dh, to_bf16(a));
      }
      if (needs_b) db = multiply_bf16_to_f32(dy.t(), h);
    }
    const Tensor dy32 = in_bf16 && !needs_weight && !needs_bias ? Tensor() : as_f32(dy);
    if (!in_bf16 && a.defined() && (needs_x || needs_a)) {
      const Tensor dh = product(dy32, Transpose::no, b, Transpose::no, call.scale);
      if (needs_a) da = product(dh, Transpose::yes, call.drop(as_f32(flat)), Transpose::no);
      if (needs_x) {
        Tensor sum = as_f32(dx);
        if (call.dropout > 0) {
          sum.add_(call.drop(product(dh, Transpose::no, a, Transpose::no)));
        } else {
          multiply_into(dh, Transpose::no, a, Transpose::no, sum, 1, 1);
        }
        dx = sum.to(dy.scalar_type());
      }
    }
    if (needs_b && !in_bf16) db = product(dy32, Transpose::yes, h, Transpose::no, call.scale);
    if (needs_weight) {
      dweight = product(dy32, Transpose::yes, as_f32(flat), Transpose::no).to(dense.scalar_type());
    }
    if (needs_bias) dbias = dy32.sum(0);
    if (needs_x) dx = dx.view(ctx->saved_data["shape"].toIntVector());
    return {dx, dweight, dbias, da, db, Tensor()};
  }

 private:
  struct Holder : torch::CustomClassHolder {
    explicit Holder(LinearCall c) : call(std::move(c)) {}
    LinearCall call;
  };
};

LinearCall call_of(const Linear& linear, std::uint64_t dropout_seed) {
  LinearCall call;
  call.weight = linear.weight;
  if (linear.active != nullptr) {
    call.scale = linear.active->scale;
    if (dropout_seed != 0) {
      call.dropout = linear.active->dropout;
      call.seed = dropout_seed;
    }
  }
  if (linear.observer != nullptr) {
    call.observer = linear.observer;
    call.name = linear.name;
  }
  return call;
}

// x W^T of a layer without gradients, with adapter and bias.
Tensor complete(const Linear& linear, const Tensor& product, const Tensor& x,
                const LinearCall& call) {
  const LowRank* active = linear.active;
  return complete(product, x, linear.bias, active != nullptr ? active->a : Tensor(),
                  active != nullptr ? active->b : Tensor(), call)
      .first;
}

}  // namespace

Tensor Linear::forward(const Tensor& x, std::uint64_t dropout_seed) const {
  const LinearCall call = call_of(*this, dropout_seed);
  if (observer != nullptr && observer->input) {
    const Tensor input = as_f32(x);
    observer->input(name, matrix_of(input));
  }
  if (at::GradMode::is_enabled()) {
    const Tensor a = active != nullptr ? active->a : Tensor();
    const Tensor b = active != nullptr ? active->b : Tensor();
    return LinearFunction::apply(x, maybe(weight.dense), maybe(bias), maybe(a), maybe(b), call);
  }
  const Tensor flat = x.reshape({-1, weight.columns()}).contiguous();
  return unflatten(complete(*this, multiply_transposed(flat, weight), flat, call), x);
}

std::vector<Tensor> forward_together(std::span<const LinearUse> uses, const Tensor& x) {
  std::vector<Tensor> out;
  const bool apart =
      at::GradMode::is_enabled() || std::ranges::any_of(uses, [](const LinearUse& use) {
        return use.linear->observer != nullptr;
      });
  if (apart) {
    for (const LinearUse& use : uses) out.push_back(use.linear->forward(x, use.dropout_seed));
    return out;
  }
  const Tensor flat = x.reshape({-1, x.size(-1)}).contiguous();
  std::vector<const Weight*> weights;
  for (const LinearUse& use : uses) weights.push_back(&use.linear->weight);
  out = multiply_transposed(flat, weights);
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const Linear& linear = *uses[i].linear;
    const LinearCall call = call_of(linear, uses[i].dropout_seed);
    out[i] = unflatten(complete(linear, out[i], flat, call), x);
  }
  return out;
}

}  // namespace qloft::model
