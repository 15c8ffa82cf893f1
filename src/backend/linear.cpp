#include "qloft/backend/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "dropout.h"
#include "operations.h"
#include "qloft/backend/tensor.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Gradients of a dense weight and a bias come seldom: torch's own operators make them.
struct LinearCall : torch::CustomClassHolder {
  Weight weight;  // whose dense tensor goes to the call as a tensor, too, for its gradient
  std::vector<RowFactors> factors;  // whose tensors go to the call, too
  std::uint64_t seed = 0;

  bool drops(const RowFactors& rows) const { return seed != 0 && rows.factors.dropout > 0; }
  Tensor drop(const Tensor& x, const RowFactors& rows) const {
    if (!drops(rows)) return x;
    return dropout(as_f32(x), rows.factors.dropout, seed).to(x.scalar_type());
  }
};

Tensor select(const Tensor& x, const Tensor& rows) {
  return rows.defined() ? x.index_select(0, rows) : x;
}

Tensor unflatten(const Tensor& y, const Tensor& x) {
  auto shape = x.sizes().vec();
  shape.back() = y.size(1);
  return y.view(shape);
}

// y [n, out] += scale * h B^T of each adapter's rows, then the bias. Returns the h of each.
variable_list complete(Tensor& y, const Tensor& x, const Tensor& bias, const LinearCall& call) {
  variable_list kept;
  for (const RowFactors& rows : call.factors) {
    Tensor part = select(y, rows.rows);
    kept.push_back(
        operations_for(x).low_rank.add(part, call.drop(select(x, rows.rows), rows), rows.factors));
    if (rows.rows.defined()) {
      y.index_copy_(0, rows.rows, part);
    } else {
      y = part;
    }
  }
  if (bias.defined()) y.add_(bias.to(y.scalar_type()));
  return kept;
}

// Saves x (for gradients of A or the weight), the weight's handle, A, B and h.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  // `factors`: A and B of each of call->factors.
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const MaybeTensor& dense_or_none,
                        const MaybeTensor& bias_or_none, const MaybeTensor& scales_or_none,
                        const at::TensorList& factors, const c10::intrusive_ptr<LinearCall>& call) {
    const Tensor dense = dense_or_none.value_or(Tensor()), bias = bias_or_none.value_or(Tensor());
    const Tensor flat = x.reshape({-1, call->weight.columns()}).contiguous();
    Tensor y = multiply_transposed(flat, call->weight);
    variable_list h = complete(y, flat, bias, *call);

    const bool trains_weight = dense.defined() && dense.requires_grad();
    const bool trains_scales = scales_or_none.has_value();
    std::vector<bool> trains = {x.requires_grad(), trains_weight,
                                bias.defined() && bias.requires_grad(), trains_scales};
    bool needs_input = trains_weight || trains_scales;
    for (std::size_t i = 0; i < factors.size(); ++i) {
      trains.push_back(factors[i].requires_grad());
      if (i % 2 == 0) needs_input = needs_input || factors[i].requires_grad();
    }
    for (std::size_t i = 0; i < h.size(); ++i) {
      if (!factors[2 * i + 1].requires_grad()) h[i] = Tensor();
    }
    variable_list saved = {needs_input ? flat : Tensor(), dense};
    saved.insert(saved.end(), factors.begin(), factors.end());
    saved.insert(saved.end(), h.begin(), h.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["shape"] = x.sizes();
    ctx->saved_data["trains"] = trains;
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    return unflatten(y, x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &flat = saved[0], &dense = saved[1];
    const auto capsule = ctx->saved_data["call"].toCapsule();
    const LinearCall& call = static_cast<const LinearCall&>(*capsule);
    const auto trains = ctx->saved_data["trains"].toBoolList();
    const std::size_t adapters = call.factors.size();
    const Tensor dy = gradients[0].reshape({-1, call.weight.rows()}).contiguous();

    Tensor dx, dweight, dbias, dscales;
    if (trains[0]) dx = multiply(dy, call.weight);
    variable_list dfactors;
    for (std::size_t i = 0; i < adapters; ++i) {
      const Tensor &a = saved[2 + 2 * i], &b = saved[3 + 2 * i], &h = saved[2 + 2 * adapters + i];
      const LowRankOperations::Wanted wanted{trains[0], trains[4 + 2 * i], trains[5 + 2 * i]};
      auto [part, da, db] = backward_of(call, call.factors[i], wanted, dy, flat, h, a, b, dx);
      if (trains[0]) dx = part;
      dfactors.push_back(da);
      dfactors.push_back(db);
    }
    if (trains[1]) dweight = as_f32(dy).t().mm(as_f32(flat)).to(dense.scalar_type());
    if (trains[2]) dbias = as_f32(dy).sum(0);
    if (trains[3]) dscales = scale_gradients(dy, flat, call.weight);
    if (trains[0]) dx = dx.view(ctx->saved_data["shape"].toIntVector());
    variable_list out = {dx, dweight, dbias, dscales};
    out.insert(out.end(), dfactors.begin(), dfactors.end());
    out.emplace_back();  // the call
    return out;
  }

 private:
  // Of one adapter: dx with its share added, and the gradients of its factors.
  static LowRankOperations::Gradients backward_of(const LinearCall& call, const RowFactors& rows,
                                                  LowRankOperations::Wanted wanted,
                                                  const Tensor& dy, const Tensor& flat,
                                                  const Tensor& h, const Tensor& a, const Tensor& b,
                                                  const Tensor& dx) {
    const Tensor own_dy = select(dy, rows.rows);
    const Tensor x = wanted.a ? call.drop(select(flat, rows.rows), rows) : Tensor();
    const auto& low_rank = operations_for(dy).low_rank;
    const bool in_place = !rows.rows.defined() && !call.drops(rows);
    auto out =
        low_rank.backward(own_dy, x, h, a, b, rows.factors.scale, wanted, in_place ? dx : Tensor());
    if (!wanted.x || in_place) return out;
    Tensor share = out.dx;
    if (call.drops(rows)) share = dropout(as_f32(share), rows.factors.dropout, call.seed);
    out.dx = dx;
    if (rows.rows.defined()) {
      out.dx.index_add_(0, rows.rows, share.to(dx.scalar_type()));
    } else {
      out.dx.add_(share);
    }
    return out;
  }
};

// In f32, so that gradients pass.
std::vector<RowFactors> with_gradients(std::vector<RowFactors> factors) {
  for (RowFactors& rows : factors) rows.factors = as_tensors(rows.factors);
  return factors;
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias,
              const std::vector<RowFactors>& factors, std::uint64_t dropout_seed) {
  if (!at::GradMode::is_enabled()) {
    return linear_together({{&weight, bias, factors, dropout_seed}}, x).front();
  }
  auto call = c10::make_intrusive<LinearCall>();
  call->weight = weight;
  call->factors = with_gradients(factors);
  call->seed = dropout_seed;
  variable_list tensors;
  for (const RowFactors& rows : call->factors) {
    tensors.push_back(rows.factors.a);
    tensors.push_back(rows.factors.b);
  }
  store_scales(weight);
  return LinearFunction::apply(x, maybe(weight.dense()), maybe(bias),
                               maybe(weight.scales ? weight.scales->factors : Tensor()),
                               at::TensorList(tensors), call);
}

std::vector<Tensor> linear_together(const std::vector<LinearUse>& uses, const Tensor& x) {
  std::vector<Tensor> out;
  if (at::GradMode::is_enabled()) {
    for (const LinearUse& use : uses) {
      out.push_back(linear(x, *use.weight, use.bias, use.factors, use.dropout_seed));
    }
    return out;
  }
  const Tensor flat = x.reshape({-1, x.size(-1)}).contiguous();
  std::vector<AdaptedWeight> weights;
  std::vector<LinearCall> calls(uses.size());
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const LinearUse& use = uses[i];
    store_scales(*use.weight);
    calls[i].seed = use.dropout_seed;
    weights.push_back({use.weight});
    const bool of_all_rows = use.factors.size() == 1 && !use.factors.front().rows.defined();
    if (of_all_rows && !calls[i].drops(use.factors.front())) {
      weights.back().factors = &use.factors.front().factors;
    } else {
      calls[i].factors = use.factors;
    }
  }
  out = operations_for(flat).multiply_adapted(flat, weights);
  for (std::size_t i = 0; i < uses.size(); ++i) {
    complete(out[i], flat, uses[i].bias, calls[i]);
    out[i] = unflatten(out[i], x);
  }
  return out;
}

}  // namespace qloft::backend
