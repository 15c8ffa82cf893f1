#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <numbers>

#include "elementwise.h"
#include "qloft/kernels/dense.h"
#include "rows.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// An activation's value and slope at x.
struct ValueAndSlope {
  float value, slope;
};

ValueAndSlope silu_at(float x) {
  const float s = 1.f / (1.f + std::exp(-x));
  return {x * s, s * (1.f + x * (1.f - s))};
}

// x Phi(x) with the normal distribution's Phi (Hendrycks & Gimpel 2016).
ValueAndSlope gelu_at(float x) {
  constexpr auto kRoot = static_cast<float>(1 / std::numbers::sqrt2);
  constexpr auto kDensity = static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
  const float phi = 0.5f * (1.f + std::erf(x * kRoot));
  return {x * phi, phi + x * kDensity * std::exp(-0.5f * x * x)};
}

// The same with 0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) for Phi.
ValueAndSlope gelu_tanh_at(float x) {
  constexpr auto kScale = static_cast<float>(std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
  constexpr float kCubic = 0.044715f;
  const float t = std::tanh(kScale * (x + kCubic * x * x * x));
  const float inner = kScale * (1.f + 3.f * kCubic * x * x);
  return {0.5f * x * (1.f + t), 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * inner};
}

ValueAndSlope relu_at(float x) {
  return x <= 0.f ? ValueAndSlope{0.f, 0.f} : ValueAndSlope{x, 1.f};  // NaN stays NaN
}

ValueAndSlope tanh_at(float x) {
  const float t = std::tanh(x);
  return {t, 1.f - t * t};
}

// body(at) with the function of `activation`, so that a loop over it can be inlined.
template <typename Body>
void with_function(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::silu:
      return body(silu_at);
    case Activation::gelu:
      return body(gelu_at);
    case Activation::gelu_tanh:
      return body(gelu_tanh_at);
    case Activation::relu:
      return body(relu_at);
    case Activation::tanh:
      return body(tanh_at);
  }
}

Tensor activated(const Tensor& x, Activation activation) {
  Tensor out = at::empty_like(x);
  const std::int64_t n = x.size(-1);
  with_function(activation, [&](auto at) {
    for_rows(x.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float* from = read_row(x, row, n, buffers.a(n));
      float* to = row_to_write(out, row, n, buffers.b(n));
      for (std::int64_t i = 0; i < n; ++i) to[i] = at(from[i]).value;
      write_row(out, row, n, to);
    });
  });
  return out;
}

struct ActivateFunction : torch::autograd::Function<ActivateFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, std::int64_t activation) {
    const Tensor in = x.contiguous();
    ctx->save_for_backward({in});
    ctx->saved_data["activation"] = activation;
    return activated(in, static_cast<Activation>(activation));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const Tensor x = ctx->get_saved_variables()[0];
    const Tensor dy = gradients[0].contiguous();
    Tensor dx = at::empty_like(x);
    const std::int64_t n = x.size(-1);
    with_function(static_cast<Activation>(ctx->saved_data["activation"].toInt()), [&](auto at) {
      for_rows(x.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
        const float* from = read_row(x, row, n, buffers.a(n));
        const float* d = read_row(dy, row, n, buffers.b(n));
        float* to = row_to_write(dx, row, n, buffers.c(n));
        for (std::int64_t i = 0; i < n; ++i) to[i] = d[i] * at(from[i]).slope;
        write_row(dx, row, n, to);
      });
    });
    return {dx, Tensor()};
  }
};

// One row of activation(g) * u. SwiGLU has kernels of its own.
void gate_row(Activation activation, const float* g, const float* u, std::int64_t n, float* to) {
  if (activation == Activation::silu) {
    kernels::dense_table().swiglu(g, u, n, to);
    return;
  }
  with_function(activation, [&](auto at) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = at(g[i]).value * u[i];
  });
}

// d activation(g) u by g and by u.
void gate_row_gradient(Activation activation, const float* g, const float* u, const float* d,
                       std::int64_t n, float* dg, float* du) {
  if (activation == Activation::silu) {
    kernels::dense_table().swiglu_gradient(g, u, d, n, dg, du);
    return;
  }
  with_function(activation, [&](auto at) {
    for (std::int64_t i = 0; i < n; ++i) {
      const ValueAndSlope f = at(g[i]);
      dg[i] = d[i] * u[i] * f.slope;
      du[i] = d[i] * f.value;
    }
  });
}

// Of contiguous tensors.
Tensor gated(const Tensor& gate, const Tensor& up, Activation activation) {
  Tensor out = at::empty_like(gate);
  const std::int64_t n = gate.size(-1);
  for_rows(gate.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
    const float* g = read_row(gate, row, n, buffers.a(n));
    const float* u = read_row(up, row, n, buffers.b(n));
    float* to = row_to_write(out, row, n, buffers.c(n));
    gate_row(activation, g, u, n, to);
    write_row(out, row, n, to);
  });
  return out;
}

struct GateFunction : torch::autograd::Function<GateFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate_in, const Tensor& up_in,
                        std::int64_t activation) {
    const Tensor gate = gate_in.contiguous();
    const Tensor up = up_in.contiguous();
    ctx->save_for_backward({gate, up});
    ctx->saved_data["activation"] = activation;
    return gated(gate, up, static_cast<Activation>(activation));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const Tensor &gate = saved[0], &up = saved[1];
    const Tensor dy = gradients[0].contiguous();
    Tensor dgate = at::empty_like(gate);
    Tensor dup = at::empty_like(up);
    const std::int64_t n = gate.size(-1);
    for_rows(gate.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float* g = read_row(gate, row, n, buffers.a(n));
      const float* u = read_row(up, row, n, buffers.b(n));
      const float* d = read_row(dy, row, n, buffers.c(n));
      float* to_gate = row_to_write(dgate, row, n, buffers.d(n));
      float* to_up = row_to_write(dup, row, n, buffers.e(n));
      gate_row_gradient(activation, g, u, d, n, to_gate, to_up);
      write_row(dgate, row, n, to_gate);
      write_row(dup, row, n, to_up);
    });
    return {dgate, dup, Tensor()};
  }
};

}  // namespace

Tensor activate_cpu(const Tensor& x, Activation activation) {
  if (at::GradMode::is_enabled()) {
    return ActivateFunction::apply(x, static_cast<std::int64_t>(activation));
  }
  return activated(x.contiguous(), activation);
}

Tensor gate_cpu(const Tensor& gate, const Tensor& up, Activation activation) {
  if (at::GradMode::is_enabled()) {
    return GateFunction::apply(gate, up, static_cast<std::int64_t>(activation));
  }
  return gated(gate.contiguous(), up.contiguous(), activation);
}

}  // namespace qloft::backend
