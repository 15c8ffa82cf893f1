#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "elementwise.h"
#include "qloft/kernels/dense.h"
#include "rows.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// An activation's values and slopes at x.
void silu(const float* x, std::int64_t n, float* value, float* slope) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float s = 1.f / (1.f + std::exp(-x[i]));
    value[i] = x[i] * s;
    slope[i] = s * (1.f + x[i] * (1.f - s));
  }
}

void relu(const float* x, std::int64_t n, float* value, float* slope) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool off = x[i] <= 0.f;  // NaN stays NaN
    value[i] = off ? 0.f : x[i];
    slope[i] = off ? 0.f : 1.f;
  }
}

void tanh(const float* x, std::int64_t n, float* value, float* slope) {
  for (std::int64_t i = 0; i < n; ++i) {
    value[i] = std::tanh(x[i]);
    slope[i] = 1.f - value[i] * value[i];
  }
}

using ActivationFunction = void (*)(const float* x, std::int64_t n, float* value, float* slope);

ActivationFunction function_of(Activation activation) {
  switch (activation) {
    case Activation::silu:
      break;
    case Activation::gelu:
      return kernels::dense_table().gelu;
    case Activation::gelu_tanh:
      return kernels::dense_table().gelu_tanh;
    case Activation::relu:
      return relu;
    case Activation::tanh:
      return tanh;
  }
  return silu;
}

// Values and slopes are made and used a piece at a time.
constexpr std::int64_t kActivationPiece = 512;
struct ActivationPiece {
  float value[kActivationPiece], slope[kActivationPiece];
};

// body(begin, piece, count) for the pieces of x.
template <typename Body>
void for_pieces(ActivationFunction function, const float* x, std::int64_t n, const Body& body) {
  ActivationPiece piece;
  for (std::int64_t begin = 0; begin < n; begin += kActivationPiece) {
    const std::int64_t count = std::min(kActivationPiece, n - begin);
    function(x + begin, count, piece.value, piece.slope);
    body(begin, piece, count);
  }
}

Tensor activated(const Tensor& x, Activation activation) {
  Tensor out = at::empty_like(x);
  const std::int64_t n = x.size(-1);
  const ActivationFunction function = function_of(activation);
  for_rows(x.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
    const float* from = read_row(x, row, n, buffers.a(n));
    float* to = row_to_write(out, row, n, buffers.b(n));
    for_pieces(function, from, n,
               [&](std::int64_t begin, const ActivationPiece& piece, std::int64_t count) {
                 std::copy_n(piece.value, count, to + begin);
               });
    write_row(out, row, n, to);
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
    const ActivationFunction function =
        function_of(static_cast<Activation>(ctx->saved_data["activation"].toInt()));
    for_rows(x.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float* from = read_row(x, row, n, buffers.a(n));
      const float* d = read_row(dy, row, n, buffers.b(n));
      float* to = row_to_write(dx, row, n, buffers.c(n));
      for_pieces(function, from, n,
                 [&](std::int64_t begin, const ActivationPiece& piece, std::int64_t count) {
                   for (std::int64_t i = 0; i < count; ++i) {
                     to[begin + i] = d[begin + i] * piece.slope[i];
                   }
                 });
      write_row(dx, row, n, to);
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
  for_pieces(function_of(activation), g, n,
             [&](std::int64_t begin, const ActivationPiece& piece, std::int64_t count) {
               for (std::int64_t i = 0; i < count; ++i) {
                 to[begin + i] = piece.value[i] * u[begin + i];
               }
             });
}

// d activation(g) u by g and by u.
void gate_row_gradient(Activation activation, const float* g, const float* u, const float* d,
                       std::int64_t n, float* dg, float* du) {
  if (activation == Activation::silu) {
    kernels::dense_table().swiglu_gradient(g, u, d, n, dg, du);
    return;
  }
  for_pieces(function_of(activation), g, n,
             [&](std::int64_t begin, const ActivationPiece& piece, std::int64_t count) {
               for (std::int64_t i = 0; i < count; ++i) {
                 const std::int64_t at = begin + i;
                 const float slope = d[at] * u[at] * piece.slope[i];
                 du[at] = d[at] * piece.value[i];
                 dg[at] = slope;
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
